//! Reads the header `Forwarded` (RFC 7239).

use std::net::IpAddr;

use super::address::node;
use super::hops::walk;
use super::trusted_proxies::TrustedProxies;
use crate::RequestHead;
use crate::header_name::is_name_byte;

/// Returns the client's address. `None` if it is unknown.
pub(super) fn read(head: &dyn RequestHead, trusted: &TrustedProxies) -> Option<IpAddr> {
    let (mut found, mut complete) = (None, true);
    head.header("forwarded", &mut |line| match split_unquoted(line, b',') {
        Some(elements) => {
            found = walk(
                trusted,
                elements.into_iter().rev().map(forwarded_for),
                found,
            );
        }
        // The line ends inside a quoted string.
        None => complete = false,
    });
    found?.filter(|_| complete)
}

/// Returns the address in the parameter `for` of one element. `None` if the parameter is absent,
/// repeated or unreadable, or if a part of the element is not `name=value`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut address = None;
    for pair in split_unquoted(element, b';')? {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue; // The grammar allows `for=192.0.2.7;`.
        }
        let (name, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
        if name.is_empty() || !name.iter().copied().all(is_name_byte) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for")
            && address.replace(node(unquoted(&value[1..])?)?).is_some()
        {
            return None;
        }
    }
    address
}

/// Returns the content of a quoted string, or the value itself if it has no quotes. A backslash is
/// left in place and makes the address unreadable, because no address needs one.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        None => Some(value),
    }
}

/// Splits a text at separators outside of quotes. `None` if the text ends inside a quoted string.
fn split_unquoted(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|byte| {
            if escaped {
                escaped = false;
            } else if quoted && *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = !quoted;
            }
            !quoted && *byte == separator
        })
        .collect();
    (!quoted).then_some(parts)
}
