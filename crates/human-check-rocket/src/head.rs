use std::net::IpAddr;

use human_check_guard::RequestHead;
use rocket::Request;

/// The head of a Rocket request, as a [`Guard`](crate::Guard) reads it.
///
/// The crate's guards use it by themselves. Use it to call a guard directly, for example to demand
/// a challenge:
///
/// ```
/// use human_check_rocket::{Guard, Head, Rejection};
/// use rocket::Request;
///
/// fn demand_challenge(guard: &Guard, request: &Request<'_>) -> Rejection {
///     guard.require_challenge(&Head(request))
/// }
/// ```
#[derive(Debug)]
pub struct Head<'a, 'r>(pub &'a Request<'r>);

impl RequestHead for Head<'_, '_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn peer(&self) -> Option<IpAddr> {
        // Not `client_ip`, which believes `X-Real-IP` by default.
        self.0.remote().map(|peer| peer.ip())
    }

    fn host(&self) -> Option<String> {
        // Rocket reads it from the URL of an HTTP/2 request, or else from the header.
        let is_repeated = self.0.headers().get("host").nth(1).is_some();
        let host = self.0.host().filter(|_| !is_repeated);
        host.map(ToString::to_string)
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query().map(|query| query.as_str())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for header in self.0.headers().iter() {
            line(header.name().as_str(), header.value().as_bytes());
        }
    }
}
