use std::net::IpAddr;

use human_check_guard::RequestHead;
use rocket::Request;

/// The head of a Rocket request, as the guard reads it.
#[derive(Debug)]
pub struct Head<'a, 'r>(pub &'a Request<'r>);

impl RequestHead for Head<'_, '_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn peer(&self) -> Option<IpAddr> {
        // Not `client_ip`, which believes `X-Real-IP` unless told not to.
        self.0.remote().map(|peer| peer.ip())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for header in self.0.headers().iter() {
            line(header.name().as_str(), header.value().as_bytes());
        }
    }
}
