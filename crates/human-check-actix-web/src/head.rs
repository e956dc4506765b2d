use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use human_check_guard::RequestHead;

/// The head of an actix-web request, as a [`Guard`](crate::Guard) reads it.
///
/// The extractors and the middleware use it by themselves. Use it to call a guard directly, for
/// example to demand a challenge in a handler:
///
/// ```
/// use actix_web::HttpRequest;
/// use human_check_actix_web::{Guard, Head, Rejection};
///
/// fn demand_challenge(guard: &Guard, request: &HttpRequest) -> Rejection {
///     guard.require_challenge(&Head(request))
/// }
/// ```
#[derive(Debug)]
pub struct Head<'a>(pub &'a HttpRequest);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn peer(&self) -> Option<IpAddr> {
        // Not `connection_info`, which believes headers that a client can send.
        self.0.peer_addr().map(|peer| peer.ip())
    }

    fn host(&self) -> Option<String> {
        // An HTTP/2 request names its host in the URL.
        let of_url = self
            .0
            .uri()
            .authority()
            .map(|host| host.as_str().to_owned());
        let mut of_header = self.0.headers().get_all(HOST);
        match (of_url, of_header.next(), of_header.next()) {
            (Some(host), None, _) => Some(host),
            (None, Some(host), None) => host.to_str().ok().map(str::to_owned),
            (Some(host), Some(other), None) if other == host.as_str() => Some(host),
            _ => None,
        }
    }

    fn query(&self) -> Option<&str> {
        Some(self.0.query_string())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0.headers() {
            line(name.as_str(), value.as_bytes());
        }
    }
}
