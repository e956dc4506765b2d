//! Parses one address in the forms that proxies write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::RequestHead;

/// Returns the address in a header that must be there once and hold one address, which `parse`
/// reads.
pub(super) fn single(
    head: &dyn RequestHead,
    name: &str,
    parse: fn(&[u8]) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let (mut lines, mut address) = (0_usize, None);
    head.header(name, &mut |line| {
        lines += 1;
        address = parse(line.trim_ascii());
    });
    address.filter(|_| lines == 1)
}

/// Parses one address, with or without a port and brackets.
pub(super) fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port): (IpAddr, _) = if let Some(rest) = text.strip_prefix('[') {
        let (v6, port) = rest.split_once(']')?;
        (v6.parse::<Ipv6Addr>().ok()?.into(), port)
    } else if let Ok(address) = text.parse() {
        // This comes before the search for a port, because a bare IPv6 address has colons.
        (address, "")
    } else {
        let (v4, port) = text.split_at(text.find(':')?);
        (v4.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    let port_is_valid = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| number::<u16>(port).is_some());
    port_is_valid.then_some(address.to_canonical())
}

/// Parses one address in front of a port, which must be there. An IPv6 address needs no brackets.
///
/// The port is taken off first: `2001:db8::7:443` alone would be another address.
pub(super) fn node_with_port(text: &[u8]) -> Option<IpAddr> {
    let (address, port) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
    number::<u16>(port).filter(|_| !port.is_empty())?;
    let unbracketed = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = match unbracketed {
        Some(v6) => v6.parse::<Ipv6Addr>().ok()?.into(),
        None => address.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// Parses a number that consists of digits only. Rust's own parser also accepts `+80`.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
