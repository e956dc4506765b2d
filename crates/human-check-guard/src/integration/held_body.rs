use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use human_check_core::adapter::{Shares, client_network};

/// The bytes of large bodies that the guards of a site may hold in memory together.
///
/// Each guard that [`Guard::builder`](crate::Guard::builder) makes has one of its own, of
/// [`BodyLimits::max_held_bytes`](crate::BodyLimits::max_held_bytes), which the guards that
/// `with_policy` makes from it share. Pass one budget to several builders with
/// [`GuardBuilder::with_body_budget`](crate::GuardBuilder::with_body_budget) to share it among them.
/// Clones are the same budget.
///
/// While half of the budget is free, every body gets what it needs. From then on the clients of one
/// network, an IPv4 /24 or an IPv6 /48, get at most an eighth of it. Clients whose addresses are
/// unknown get at most seven eighths together.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    max: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_network: HashMap<Option<u64>, usize>,
}

impl BodyBudget {
    /// Creates a budget of `max` bytes, of which none is held.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            held: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes for a client. Returns `false` if its share or the budget has too few.
    fn take(&self, network: Option<u64>, bytes: usize) -> bool {
        let mut held = self.lock();
        let own = held.by_network.get(&network).copied().unwrap_or_default();
        let fits = Shares::of(self.max).admit(network.is_some(), held.total, own, bytes);
        if fits {
            held.total += bytes;
            *held.by_network.entry(network).or_default() += bytes;
        }
        fits
    }

    fn give_back(&self, network: Option<u64>, bytes: usize) {
        let mut held = self.lock();
        held.total -= bytes;
        if let Some(own) = held.by_network.get_mut(&network) {
            *own -= bytes;
            if *own == 0 {
                held.by_network.remove(&network);
            }
        }
    }
}

/// The bytes of one body that a guard holds in memory, as a part of what all bodies may hold.
///
/// The first 64 KiB of each body are free, so that forms and JSON pass while uploads fill the
/// budget. [`GuardedRequest::held_body`](super::GuardedRequest::held_body) creates it. Dropping the
/// guarded request gives the bytes back.
#[derive(Debug)]
pub struct HeldBody {
    budget: BodyBudget,
    network: Option<u64>,
    received: AtomicUsize,
    held: AtomicUsize,
    is_refused: AtomicBool,
}

impl HeldBody {
    /// How many bytes of a body do not count.
    pub const FREE: usize = 65_536;

    pub(crate) fn new(budget: BodyBudget, client: Option<IpAddr>) -> Self {
        Self {
            budget,
            network: client.map(client_network),
            received: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Adds the bytes of a chunk that arrived. Returns `false` if the bodies of all requests, or of
    /// the client's network, then have too many bytes, and the chunk must not be kept.
    pub fn receive(&self, bytes: usize) -> bool {
        let received = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let counted = received.saturating_sub(Self::FREE).min(bytes);
        if counted == 0 {
            return true;
        }
        let fits = self.budget.take(self.network, counted);
        match fits {
            true => {
                self.held.fetch_add(counted, Ordering::Relaxed);
            }
            false => self.is_refused.store(true, Ordering::Relaxed),
        }
        fits
    }

    /// Returns whether a chunk was refused.
    pub fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        let held = *self.held.get_mut();
        if held > 0 {
            self.budget.give_back(self.network, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_are_free_and_large_ones_share_a_budget() {
        let budget = BodyBudget::new(100_000);
        let body = || HeldBody::new(budget.clone(), None);
        let (first, second, small) = (body(), body(), body());
        assert!(first.receive(65_536));
        assert_eq!(budget.lock().total, 0);
        assert!(first.receive(77_500));
        assert!(second.receive(75_536));
        assert!(!second.receive(1), "seven eighths are held");
        assert!(second.is_refused() && !first.is_refused());
        assert!(small.receive(65_536), "a form passes all the same");
        drop((first, small));
        assert!(body().receive(100_000));
        drop(second);
        assert_eq!(budget.lock().total, 0, "all are given back");
        assert!(budget.lock().by_network.is_empty());
    }

    #[test]
    fn one_network_cannot_hold_the_whole_budget() {
        let budget = BodyBudget::new(8_000_000);
        let body = |client: &str| {
            let body = HeldBody::new(budget.clone(), Some(client.parse().unwrap()));
            assert!(body.receive(HeldBody::FREE));
            body
        };
        let flood: Vec<_> = (0..100)
            .map(|host| body(&format!("203.0.113.{host}")))
            .filter(|body| body.receive(1_000_000))
            .collect();
        assert_eq!(
            flood.len(),
            4,
            "half of the budget, while all of it is free"
        );
        let others: Vec<_> = (0..100)
            .map(|network| body(&format!("198.51.{network}.1")))
            .filter(|body| body.receive(1_000_000))
            .collect();
        assert_eq!(others.len(), 4, "all that is left");
    }
}
