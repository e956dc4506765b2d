use std::net::IpAddr;

use actix_web::HttpRequest;
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

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0.headers() {
            line(name.as_str(), value.as_bytes());
        }
    }
}
