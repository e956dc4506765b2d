//! Reads the headers that Cloudflare's edge writes.
//!
//! <https://developers.cloudflare.com/fundamentals/reference/http-headers/> describes them.

use std::net::{IpAddr, Ipv6Addr};

use super::address::{node, single};
use crate::RequestHead;

/// The address that Cloudflare writes for a Worker of another zone.
const FOREIGN_WORKER: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a06, 0x98c0, 0x3600, 0, 0, 0, 0, 0x103));

/// Returns the visitor's address. `None` if it is unknown, for example in the request of a Worker.
pub(super) fn read(head: &dyn RequestHead) -> Option<IpAddr> {
    let mut from_worker = false;
    head.header("cf-worker", &mut |_| from_worker = true);
    if from_worker {
        return None;
    }
    let address = match single(head, "cf-connecting-ip", node)? {
        IpAddr::V4(synthetic) if synthetic.octets()[0] >= 240 => {
            single(head, "cf-connecting-ipv6", node).filter(IpAddr::is_ipv6)?
        }
        address => address,
    };
    (address != FOREIGN_WORKER).then_some(address)
}
