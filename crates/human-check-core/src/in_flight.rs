use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::sync::{Mutex, lock};

/// A limit on the calls in flight, which one network of clients cannot use up.
///
/// While half of the places are free, every call gets one. From then on a network that holds an
/// eighth of all places gets no further one. A network is an IPv4 /24 or an IPv6 /48. Calls whose
/// clients are unknown get at most seven eighths of the places together.
///
/// ```
/// use human_check_core::adapter::InFlightLimit;
///
/// let limit = InFlightLimit::new(2);
/// let first = limit.enter(None).expect("both places are free");
/// let second = limit.enter(None).expect("one place is free");
/// assert!(limit.enter(None).is_none());
/// drop(first);
/// assert!(limit.enter(None).is_some());
/// # drop(second);
/// ```
pub struct InFlightLimit {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_network: HashMap<Option<u64>, usize>,
}

impl InFlightLimit {
    /// Creates a limit of `max` calls. With 0 no call gets a place.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            taken: Mutex::new(Taken::default()),
        }
    }

    /// Returns the largest number of calls in flight.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes a place for a call of this client. `None` if there is no place for it.
    ///
    /// Dropping the place frees it.
    pub fn enter(&self, client: Option<IpAddr>) -> Option<Place<'_>> {
        let network = client.map(client_network);
        let mut taken = lock(&self.taken);
        let shares = Shares::of(self.max);
        let held = taken.by_network.get(&network).copied().unwrap_or_default();
        if !shares.admit(network.is_some(), taken.total, held, 1) {
            return None;
        }
        *taken.by_network.entry(network).or_default() += 1;
        taken.total += 1;
        Some(Place {
            limit: self,
            network,
        })
    }
}

impl fmt::Debug for InFlightLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightLimit")
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}

/// The place of one call in flight. Dropping it frees the place.
#[derive(Debug)]
#[must_use = "dropping the place frees it"]
pub struct Place<'a> {
    limit: &'a InFlightLimit,
    network: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.limit.taken);
        taken.total = taken.total.saturating_sub(1);
        if let Some(held) = taken.by_network.get_mut(&self.network) {
            *held -= 1;
            if *held == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

/// How a limit is shared among networks of clients; see [`InFlightLimit`].
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    max: usize,
}

impl Shares {
    /// Creates the shares of a limit of `max`.
    pub fn of(max: usize) -> Self {
        Self { max }
    }

    /// Returns whether a client may take `more`, while all together hold `total`, and its network,
    /// or all unknown clients, `held`.
    pub fn admit(self, is_known: bool, total: usize, held: usize, more: usize) -> bool {
        let eighth = (self.max / 8).max(1);
        let fits = total.saturating_add(more) <= self.max;
        fits && match is_known {
            true => {
                let is_crowded = total.saturating_add(more) > self.max / 2;
                !is_crowded || held.saturating_add(more) <= eighth
            }
            // Without a known client this costs an eighth of the limit. It leaves that to the known
            // ones while other clients hide their addresses.
            false => held.saturating_add(more) <= self.max - self.max / 8,
        }
    }
}

/// Returns the network of a client: the /24 of an IPv4 address, the /48 of an IPv6 address.
///
/// One subscriber can have that many IPv6 addresses, and an attacker with a data center's addresses
/// has them next to each other.
pub fn client_network(client: IpAddr) -> u64 {
    match client.to_canonical() {
        // No IPv6 network begins with 16 zero bits beside those that stand for IPv4.
        IpAddr::V4(ip) => u64::from(u32::from(ip) >> 8),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64 | 0xffff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_network_cannot_take_all_places() {
        let limit = InFlightLimit::new(64);
        let flood: Vec<_> = (0..=255)
            .filter_map(|host| limit.enter(ip(&format!("203.0.113.{host}"))))
            .collect();
        assert_eq!(
            flood.len(),
            32,
            "half of the places, while the others are free"
        );
        let v6: Vec<_> = (0..200)
            .filter_map(|host| limit.enter(ip(&format!("2001:db8:1:{host:x}::1"))))
            .collect();
        assert_eq!(v6.len(), 8, "an eighth");
        assert!(
            limit.enter(ip("198.51.100.7")).is_some(),
            "an honest visitor"
        );
        let others: Vec<_> = (0..200)
            .filter_map(|network| limit.enter(ip(&format!("198.51.{network}.1"))))
            .collect();
        assert_eq!(others.len(), 24, "all places that are left");
        drop((flood, v6, others));
        assert_eq!(lock(&limit.taken).total, 0);
        assert!(lock(&limit.taken).by_network.is_empty());
    }

    #[test]
    fn clients_that_hide_their_address_leave_places_to_the_others() {
        let limit = InFlightLimit::new(64);
        let hidden: Vec<_> = (0..100).filter_map(|_| limit.enter(None)).collect();
        assert_eq!(hidden.len(), 56);
        let known: Vec<_> = (0..100)
            .filter_map(|network| limit.enter(ip(&format!("198.51.{network}.1"))))
            .collect();
        assert_eq!(known.len(), 8);
        drop((hidden, known));
        assert!(lock(&limit.taken).by_network.is_empty());
        // Too few places to share.
        let limit = InFlightLimit::new(4);
        let taken: Vec<_> = (0..10).filter_map(|_| limit.enter(None)).collect();
        assert_eq!(taken.len(), 4);
        assert!(InFlightLimit::new(0).enter(None).is_none());
    }

    #[test]
    fn networks_are_told_apart() {
        let same = |a, b| client_network(ip(a).unwrap()) == client_network(ip(b).unwrap());
        assert!(same("203.0.113.1", "::ffff:203.0.113.9"));
        assert!(!same("203.0.113.1", "203.0.114.1"));
        assert!(same("2001:db8:1::1", "2001:db8:1:ffff::9"));
        assert!(!same("2001:db8:1::1", "2001:db8:2::1"));
        assert!(!same("::1", "0.0.0.0"));
    }
}
