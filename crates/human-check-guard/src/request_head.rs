use std::net::IpAddr;

/// What a guard reads of a request: method, peer address and headers.
///
/// The crates for actix-web, axum and Rocket implement it as `Head`. Implement it to use a guard
/// with another framework.
///
/// ```
/// use std::net::IpAddr;
///
/// use human_check_guard::RequestHead;
///
/// struct Head {
///     method: String,
///     peer: Option<IpAddr>,
///     headers: Vec<(String, Vec<u8>)>,
/// }
///
/// impl RequestHead for Head {
///     fn method(&self) -> &str {
///         &self.method
///     }
///
///     fn peer(&self) -> Option<IpAddr> {
///         self.peer
///     }
///
///     fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
///         for (name, value) in &self.headers {
///             line(name, value);
///         }
///     }
/// }
/// ```
pub trait RequestHead {
    /// Returns the method in upper case, for example `POST`.
    fn method(&self) -> &str;

    /// Returns the address of the peer of the connection. `None` for a Unix socket.
    ///
    /// It is the address of the socket. A [`ClientAddress`](crate::ClientAddress) decides whether a
    /// header replaces it.
    fn peer(&self) -> Option<IpAddr>;

    /// Returns the host that the request is addressed to, with or without a port. `None` if it names
    /// none, or several.
    ///
    /// The default reads the header `Host`. Override it if the framework knows the host of an HTTP/2
    /// request, which has no such header.
    fn host(&self) -> Option<String> {
        let mut host = Single::default();
        self.header("host", &mut |line| host.add(line));
        host.text()
    }

    /// Returns the query of the URL, without the `?`. Default: none.
    ///
    /// Only the endpoint for the options of a route reads it, and the guard of a request without a
    /// body.
    fn query(&self) -> Option<&str> {
        None
    }

    /// Calls `line` with the name and the value of every header line, in the order of the request.
    /// Names may be in upper or lower case.
    fn headers(&self, line: &mut dyn FnMut(&str, &[u8]));

    /// Calls `line` with the value of every header line with this name, in the order of the
    /// request.
    ///
    /// Names are compared without case. Override it if the framework can find a header by its name
    /// faster than by visiting all of them.
    fn header(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        self.headers(&mut |known, value| {
            if known.eq_ignore_ascii_case(name) {
                line(value);
            }
        });
    }
}

/// A header that counts only if the request has it exactly once, as valid UTF-8.
#[derive(Default)]
pub(crate) struct Single {
    lines: usize,
    text: Option<String>,
}

impl Single {
    /// Adds one line of the header.
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.lines == 1 {
            self.text = std::str::from_utf8(line).ok().map(str::to_owned);
        }
    }

    /// Returns the first value, if it is UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns whether the header was repeated, or is not UTF-8.
    pub(crate) fn is_unusable(&self) -> bool {
        self.lines > 1 || (self.lines == 1 && self.text.is_none())
    }

    /// Returns the value. `None` if the header was absent, repeated or not UTF-8.
    pub(crate) fn text(self) -> Option<String> {
        self.text.filter(|_| self.lines == 1)
    }
}
