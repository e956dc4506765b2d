use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::HOST;
use axum::http::request::Parts;
use human_check_guard::RequestHead;

/// The head of an axum request, as a [`Guard`](crate::Guard) reads it.
///
/// The address of the peer is known only if the server was started with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
///
/// The extractors and the layer use it by themselves. Use it to call a guard directly, for example
/// to demand a challenge in a handler:
///
/// ```
/// use axum::http::request::Parts;
/// use human_check_axum::{Guard, Head, Rejection};
///
/// fn demand_challenge(guard: &Guard, parts: &Parts) -> Rejection {
///     guard.require_challenge(&Head(parts))
/// }
/// ```
#[derive(Debug)]
pub struct Head<'a>(pub &'a Parts);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn peer(&self) -> Option<IpAddr> {
        let info = self.0.extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(info.0.ip())
    }

    fn host(&self) -> Option<String> {
        // An HTTP/2 request names its host in the URL.
        let of_url = self.0.uri.authority().map(|host| host.as_str().to_owned());
        let mut of_header = self.0.headers.get_all(HOST).iter();
        match (of_url, of_header.next(), of_header.next()) {
            (Some(host), None, _) => Some(host),
            (None, Some(host), None) => host.to_str().ok().map(str::to_owned),
            (Some(host), Some(other), None) if other == host.as_str() => Some(host),
            _ => None,
        }
    }

    fn query(&self) -> Option<&str> {
        self.0.uri.query()
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.0.headers {
            line(name.as_str(), value.as_bytes());
        }
    }
}
