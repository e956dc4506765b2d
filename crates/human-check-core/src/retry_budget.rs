use std::sync::atomic::{AtomicU32, Ordering};

/// A bound on retries: at most a tenth of the calls, after a burst of ten.
///
/// Retries without a bound would double the load on a provider that is already overloaded. Share
/// one budget between all calls that use the same provider or client.
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
    /// What is left, in tenths of a retry.
    tenths: AtomicU32,
}

const COST: u32 = 10;
const BURST: u32 = 10 * COST;

impl RetryBudget {
    /// Adds a tenth of a retry, up to a budget of ten retries.
    ///
    /// Call it once for each call, before the call is made.
    pub fn earn(&self) {
        let earned = |tenths: u32| (tenths < BURST).then_some(tenths + 1);
        let _ = self
            .tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    /// Takes one retry from the budget, and returns whether one was left.
    ///
    /// Call it before each retry, and do not retry when it returns `false`.
    pub fn spend(&self) -> bool {
        let reduced = |tenths: u32| tenths.checked_sub(COST);
        self.tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, reduced)
            .is_ok()
    }
}

impl Default for RetryBudget {
    /// Creates a full budget of ten retries.
    fn default() -> Self {
        Self {
            tenths: AtomicU32::new(BURST),
        }
    }
}
