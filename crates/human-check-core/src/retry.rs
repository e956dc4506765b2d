use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::random::fraction;
use crate::{CheckError, ErrorKind, HumanCheck, Provider, Reports, Submission, Verdict};

/// Asks a second time where the vendor never saw the token.
///
/// May turn [`ErrorKind::Unavailable`] into what the second attempt says, and only where the error
/// [knows](CheckError::token_may_be_spent) that nothing was sent: a token is used up by being
/// looked at, so repeating anything else would refuse an honest visitor. Retries are at most a tenth
/// of the calls, after a burst of ten, so an outage is not made worse.
///
/// The adapters of this family repeat unsent requests by themselves. This is for adapters that do
/// not.
///
/// Dropping its future gives up the attempt under way and makes no other.
#[derive(Clone, Debug)]
pub struct Retry<C> {
    check: C,
    shortest: Duration,
    longest: Duration,
    /// In tenths of a retry.
    budget: Arc<AtomicU32>,
}

const BURST: u32 = 100;
const PRICE: u32 = 10;

impl<C: HumanCheck> Retry<C> {
    /// Repeats once, after a wait of 50 to 250 milliseconds.
    pub fn new(check: C) -> Self {
        Self {
            check,
            shortest: Duration::from_millis(50),
            longest: Duration::from_millis(250),
            budget: Arc::new(AtomicU32::new(BURST)),
        }
    }

    /// Waits a time between these two instead, chosen by chance.
    #[must_use]
    pub fn with_wait(mut self, shortest: Duration, longest: Duration) -> Self {
        self.shortest = shortest;
        self.longest = longest.max(shortest);
        self
    }

    fn earn(&self) {
        let earned = |saved: u32| Some(saved.saturating_add(1).min(BURST));
        let _ = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    fn spend(&self) -> bool {
        let spent = |saved: u32| saved.checked_sub(PRICE);
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent)
            .is_ok()
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for Retry<C> {
    fn accepts(&self) -> &[Provider] {
        self.check.accepts()
    }

    fn reports(&self) -> Reports {
        self.check.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.earn();
        let outcome = self.check.check(submission).await;
        let unsent = |error: &CheckError| {
            error.kind() == ErrorKind::Unavailable
                && !error.token_may_be_spent()
                // Whoever names a time does not want to be asked before.
                && error.retry_after().is_none()
        };
        if !outcome.as_ref().is_err_and(unsent) || !self.spend() {
            return outcome;
        }
        let spread = self.longest.saturating_sub(self.shortest);
        tokio::time::sleep(self.shortest + spread.mul_f64(fraction())).await;
        self.check.check(submission).await
    }
}
