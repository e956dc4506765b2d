use std::sync::atomic::{AtomicU32, Ordering};

/// Keeps retries under a tenth of the calls, after a burst of ten, so that an outage is not made worse.
///
/// ```
/// use human_check_core::adapter::RetryBudget;
///
/// let budget = RetryBudget::default();
/// let retries = (0..1_000).filter(|_| {
///     budget.earn();
///     budget.spend()
/// });
/// assert!(retries.count() <= 110);
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    /// In tenths of a retry.
    tenths: AtomicU32,
}

const COST: u32 = 10;
const BURST: u32 = 10 * COST;

impl RetryBudget {
    /// Earns a tenth of a retry. Call it once for each call, before it is made.
    pub fn earn(&self) {
        let earned = |tenths: u32| (tenths < BURST).then_some(tenths + 1);
        let _ = self
            .tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    /// Takes one retry, and returns whether there was one left.
    pub fn spend(&self) -> bool {
        let spent = |tenths: u32| tenths.checked_sub(COST);
        self.tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent)
            .is_ok()
    }
}

impl Default for RetryBudget {
    /// Creates a full budget.
    fn default() -> Self {
        Self {
            tenths: AtomicU32::new(BURST),
        }
    }
}
