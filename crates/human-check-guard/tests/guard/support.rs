use std::net::IpAddr;

use human_check_guard::RequestHead;

/// The head of a request, built by a test.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) peer: Option<IpAddr>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self {
            peer: Some("203.0.113.7".parse().unwrap()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.headers {
            line(name, value);
        }
    }
}
