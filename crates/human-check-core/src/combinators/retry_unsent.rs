use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::random::fraction;
use crate::retry_budget::RetryBudget;
use crate::{Capabilities, CheckError, ErrorKind, HumanCheck, Provider, Submission, Verdict};

/// Asks a second time where the provider never saw the token.
///
/// May turn [`ErrorKind::Unavailable`] into what the second attempt says, and only where the error
/// [knows](CheckError::token_may_be_used) that nothing was sent: a token is used up by being
/// looked at, so repeating anything else would refuse an honest visitor. Retries are at most a tenth
/// of the calls, after a burst of ten, so an outage is not made worse.
///
/// The adapters of this family repeat unsent requests by themselves. This is for adapters that do
/// not.
///
/// Dropping its future gives up the attempt under way and makes no other.
#[derive(Clone, Debug)]
pub struct RetryUnsent<C> {
    check: C,
    min_wait: Duration,
    max_wait: Duration,
    budget: Arc<RetryBudget>,
}

impl<C: HumanCheck> RetryUnsent<C> {
    /// Repeats once, after a wait of 50 to 250 milliseconds.
    pub fn new(check: C) -> Self {
        Self {
            check,
            min_wait: Duration::from_millis(50),
            max_wait: Duration::from_millis(250),
            budget: Arc::default(),
        }
    }

    /// Waits a time between these two instead, chosen by chance.
    #[must_use]
    pub fn with_wait(mut self, min_wait: Duration, max_wait: Duration) -> Self {
        self.min_wait = min_wait;
        self.max_wait = max_wait.max(min_wait);
        self
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for RetryUnsent<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.budget.earn();
        let outcome = self.check.check(submission).await;
        let unsent = |error: &CheckError| {
            error.kind() == ErrorKind::Unavailable
                && !error.token_may_be_used()
                // Whoever names a time does not want to be asked before.
                && error.retry_after().is_none()
        };
        if !outcome.as_ref().is_err_and(unsent) || !self.budget.spend() {
            return outcome;
        }
        let spread = self.max_wait.saturating_sub(self.min_wait);
        tokio::time::sleep(self.min_wait + spread.mul_f64(fraction())).await;
        self.check.check(submission).await
    }
}
