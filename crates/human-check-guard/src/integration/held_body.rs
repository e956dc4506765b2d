use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The bytes of large bodies that the guards of a site may hold in memory together.
///
/// Each guard that [`Guard::builder`](crate::Guard::builder) makes has one of its own, of
/// [`BodyLimits::max_held_bytes`](crate::BodyLimits::max_held_bytes), which the guards that
/// `with_policy` makes from it share. Pass one budget to several builders with
/// [`GuardBuilder::with_body_budget`](crate::GuardBuilder::with_body_budget) to share it among them.
/// Clones are the same budget.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    max: usize,
    held: Arc<AtomicUsize>,
}

impl BodyBudget {
    /// Creates a budget of `max` bytes, of which none is held.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            held: Arc::default(),
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
    received: AtomicUsize,
    held: AtomicUsize,
    is_refused: AtomicBool,
}

impl HeldBody {
    /// How many bytes of a body do not count.
    const FREE: usize = 65_536;

    pub(crate) fn new(budget: BodyBudget) -> Self {
        Self {
            budget,
            received: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Adds the bytes of a chunk that arrived. Returns `false` if the bodies of all requests then
    /// have too many bytes, and the chunk must not be kept.
    pub fn receive(&self, bytes: usize) -> bool {
        let received = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let counted = received.saturating_sub(Self::FREE).min(bytes);
        let held = self.budget.held.fetch_add(counted, Ordering::Relaxed) + counted;
        self.held.fetch_add(counted, Ordering::Relaxed);
        let fits = counted == 0 || held <= self.budget.max;
        if !fits {
            self.is_refused.store(true, Ordering::Relaxed);
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
        self.budget
            .held
            .fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_are_free_and_large_ones_share_a_budget() {
        let budget = BodyBudget::new(100_000);
        let body = || HeldBody::new(budget.clone());
        let (first, second, small) = (body(), body(), body());
        assert!(first.receive(65_536));
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
        assert!(first.receive(90_000));
        assert!(second.receive(75_536));
        assert!(!second.receive(1), "10,000 and 90,000 are held");
        assert!(second.is_refused() && !first.is_refused());
        assert!(small.receive(65_536), "a form passes all the same");
        drop((first, small));
        assert!(body().receive(100_000));
        drop(second);
        assert_eq!(budget.held.load(Ordering::Relaxed), 0, "all are given back");
    }
}
