//! Finds the client in a list to which each proxy appends the address that connected to it.

use std::net::IpAddr;
use std::ops::ControlFlow;

use super::trusted_proxies::TrustedProxies;

/// Reads one header line from the right, after the lines `before` it.
///
/// If a line holds trusted proxies only, the result of the lines before it counts. So several lines
/// are one list, as HTTP defines it, without being copied together. The outer `Option` says whether
/// there was a line. The inner one is the address, or `None` for an unreadable entry.
pub(super) fn walk(
    trusted: &TrustedProxies,
    mut hops_from_right: impl Iterator<Item = Option<IpAddr>>,
    before: Option<Option<IpAddr>>,
) -> Option<Option<IpAddr>> {
    let walked = hops_from_right.try_fold(None, |_, hop| match hop {
        Some(address) if trusted.contains(address) => ControlFlow::Continue(hop),
        client_or_unreadable => ControlFlow::Break(client_or_unreadable),
    });
    match walked {
        ControlFlow::Break(address) => Some(address),
        ControlFlow::Continue(leftmost) => before.or(Some(leftmost)),
    }
}
