//! The headers of Cloudflare's edge.

use std::net::{IpAddr, Ipv6Addr};

use super::address::single;
use crate::RequestHead;

/// What Cloudflare writes for a visitor that is a Worker of another zone.
const FOREIGN_WORKER: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a06, 0x98c0, 0x3600, 0, 0, 0, 0, 0x103));

/// The visitor's address, as Cloudflare's edge writes it.
pub(super) fn read(head: &dyn RequestHead) -> Option<IpAddr> {
    let mut from_worker = false;
    head.header("cf-worker", &mut |_| from_worker = true);
    if from_worker {
        return None;
    }
    let address = match single(head, "cf-connecting-ip")? {
        IpAddr::V4(made_up) if made_up.octets()[0] >= 240 => {
            single(head, "cf-connecting-ipv6").filter(IpAddr::is_ipv6)?
        }
        address => address,
    };
    (address != FOREIGN_WORKER).then_some(address)
}
