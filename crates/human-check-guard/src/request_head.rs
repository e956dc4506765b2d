use std::net::IpAddr;

/// What a guard reads of a request, whatever the framework.
pub trait RequestHead {
    /// The method, in capitals.
    fn method(&self) -> &str;

    /// The address at the other end of the socket. `None` on a Unix socket.
    fn peer(&self) -> Option<IpAddr>;

    /// Calls `line` with name and value of every header line, in order. Names in any case.
    fn headers(&self, line: &mut dyn FnMut(&str, &[u8]));

    /// Calls `line` with the value of every header line of that name, in order.
    fn header(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.headers(&mut |known, value| {
            if known.eq_ignore_ascii_case(name) {
                line(value);
            }
        });
    }
}

/// A header that counts only if it is there once, and text.
#[derive(Default)]
pub(crate) struct Single {
    lines: usize,
    text: Option<String>,
}

impl Single {
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.lines == 1 {
            self.text = std::str::from_utf8(line).ok().map(str::to_owned);
        }
    }

    pub(crate) fn text(self) -> Option<String> {
        self.text.filter(|_| self.lines == 1)
    }
}
