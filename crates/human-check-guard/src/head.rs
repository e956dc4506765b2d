use std::net::IpAddr;

/// What a guard reads of a request, whatever the framework.
pub trait RequestHead {
    /// The method, in capitals.
    fn method(&self) -> &str;

    /// The address at the other end of the socket. `None` on a Unix socket.
    fn peer(&self) -> Option<IpAddr>;

    /// Calls `line` with the value of every header line of that name (lower case), in order.
    fn header(&self, name: &str, line: &mut dyn FnMut(&[u8]));
}

/// The only line of a header, as text. `None` when there is none, several, or not text.
pub(crate) fn single(head: &dyn RequestHead, name: &str) -> Option<String> {
    let mut lines = 0;
    let mut text = None;
    head.header(name, &mut |line| {
        lines += 1;
        text = std::str::from_utf8(line).ok().map(str::to_owned);
    });
    text.filter(|_| lines == 1)
}
