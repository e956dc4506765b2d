//! A list to which each proxy appends the address that connected to it.

use std::net::IpAddr;
use std::ops::ControlFlow;

use super::trusted_proxies::TrustedProxies;

/// Reads one header line from the right, given what the lines before it came to.
///
/// A line of nothing but trusted proxies leaves the answer to the lines before it. That makes
/// many lines one list, as HTTP has it, without copying them together. Outside is whether
/// there was a line, inside is the answer.
pub(super) fn walk(
    trusted: &TrustedProxies,
    mut hops_from_right: impl Iterator<Item = Option<IpAddr>>,
    before: Option<Option<IpAddr>>,
) -> Option<Option<IpAddr>> {
    let walked = hops_from_right.try_fold(None, |_, hop| match hop {
        Some(address) if trusted.contains(address) => ControlFlow::Continue(hop),
        visitor_or_unreadable => ControlFlow::Break(visitor_or_unreadable),
    });
    match walked {
        ControlFlow::Break(answer) => Some(answer),
        ControlFlow::Continue(leftmost) => before.or(Some(leftmost)),
    }
}
