use std::net::IpAddr;

use super::address::node;
use super::hops::walk;
use super::trusted_proxies::TrustedProxies;
use crate::RequestHead;

/// Returns the client's address in `X-Forwarded-For`. `None` if it is unknown.
pub(super) fn read(head: &dyn RequestHead, trusted: &TrustedProxies) -> Option<IpAddr> {
    let mut found = None;
    head.header("x-forwarded-for", &mut |line| {
        let hops = line
            .rsplit(|b| *b == b',')
            .map(|hop| node(hop.trim_ascii()));
        found = walk(trusted, hops, found);
    });
    found?
}
