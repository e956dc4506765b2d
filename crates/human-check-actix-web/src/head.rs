use std::net::IpAddr;

use actix_web::HttpRequest;
use human_check_guard::RequestHead;

/// The head of an actix-web request, as the guard reads it.
#[derive(Debug)]
pub struct Head<'a>(pub &'a HttpRequest);

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn peer(&self) -> Option<IpAddr> {
        // Not `connection_info`, which believes any header.
        self.0.peer_addr().map(|peer| peer.ip())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in self.0.headers() {
            line(name.as_str(), value.as_bytes());
        }
    }
}
