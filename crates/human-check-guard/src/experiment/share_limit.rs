use std::sync::{Mutex, PoisonError};

/// How many visits are counted before the counts are halved.
const WINDOW: u64 = 1_000;

/// The number of visits below which no share is judged.
const MIN_VISITS: u64 = 100;

/// The shares of arms among the latest visits of this process.
///
/// A client that keeps the cookie of the weaker arm meets that arm each time. A limit makes such
/// cookies count as none.
#[derive(Debug)]
pub(super) struct ShareLimit(Mutex<Vec<u64>>);

impl ShareLimit {
    pub(super) fn new(arms: usize) -> Self {
        Self(Mutex::new(vec![0; arms]))
    }

    /// Counts a visit of an arm.
    pub(super) fn count(&self, arm: usize) {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        visits[arm] += 1;
        if visits.iter().sum::<u64>() >= WINDOW {
            visits.iter_mut().for_each(|visits| *visits /= 2);
        }
    }

    /// Returns whether an arm has more than `max` of the latest visits.
    pub(super) fn is_above(&self, arm: usize, max: f64) -> bool {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = visits.iter().sum();
        #[allow(clippy::cast_precision_loss, reason = "below 1,000")]
        let share = visits[arm] as f64 / total.max(1) as f64;
        total >= MIN_VISITS && share > max
    }
}
