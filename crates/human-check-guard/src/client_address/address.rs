//! One address, as proxies write it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::RequestHead;

/// The address in a header that may stand there once and hold one.
pub(super) fn single(head: &dyn RequestHead, name: &str) -> Option<IpAddr> {
    let (mut lines, mut address) = (0_usize, None);
    head.header(name, &mut |line| {
        lines += 1;
        address = node(line.trim_ascii());
    });
    address.filter(|_| lines == 1)
}

/// One address as proxies write it, with or without a port.
pub(super) fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port): (IpAddr, _) = if let Some(rest) = text.strip_prefix('[') {
        let (v6, port) = rest.split_once(']')?;
        (v6.parse::<Ipv6Addr>().ok()?.into(), port)
    } else if let Ok(address) = text.parse() {
        // Before looking for a port, since a bare IPv6 address is full of colons.
        (address, "")
    } else {
        let (v4, port) = text.split_at(text.find(':')?);
        (v4.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    let port_is_sound = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| number::<u16>(port).is_some());
    port_is_sound.then_some(address.to_canonical())
}

/// A number of digits only: Rust's own parser would take `+80`.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
