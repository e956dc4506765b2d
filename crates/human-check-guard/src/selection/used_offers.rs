use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After this time an offer that counts once has ended.
const TTL: Duration = Duration::from_secs(900);

/// The most offers that are kept for each `TTL`.
const MAX: usize = 50_000;

/// The offers that counted in this process, so that no refusal shows one of them again.
///
/// It decides nothing: the store tells whether an offer was used.
#[derive(Debug)]
pub(crate) struct UsedOffers(Mutex<Generations>);

#[derive(Debug)]
struct Generations {
    began: Instant,
    current: HashSet<[u8; 16]>,
    previous: HashSet<[u8; 16]>,
}

impl Default for UsedOffers {
    fn default() -> Self {
        Self(Mutex::new(Generations {
            began: Instant::now(),
            current: HashSet::new(),
            previous: HashSet::new(),
        }))
    }
}

impl UsedOffers {
    /// Records that an offer counted.
    pub(crate) fn add(&self, id: [u8; 16]) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.began.elapsed() >= TTL || used.current.len() >= MAX {
            used.previous = std::mem::take(&mut used.current);
            used.began = Instant::now();
        }
        used.current.insert(id);
    }

    /// Returns whether an offer is known to have counted.
    pub(crate) fn has(&self, id: &[u8; 16]) -> bool {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.current.contains(id) || used.previous.contains(id)
    }
}
