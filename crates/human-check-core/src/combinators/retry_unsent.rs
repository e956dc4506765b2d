use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::random::fraction;
use crate::retry_budget::RetryBudget;
use crate::{
    Capabilities, CheckError, ErrorKind, Health, HumanCheck, Provider, Submission, Verdict,
};

/// A check that is called a second time if the provider did not receive the token.
///
/// For adapters that do not repeat requests themselves. All adapters of human-check that call a
/// provider do, so they need no `RetryUnsent`.
///
/// It may change [`ErrorKind::Unavailable`] into the result of the second attempt. It does so only
/// if the error states that the token is [unused](CheckError::token_may_be_used) and names no
/// [`retry_after`](CheckError::retry_after): verifying a token uses it up, so a repeat of a request
/// that was sent would refuse an honest visitor. Retries are at most a tenth of the calls, after a
/// burst of ten, so they do not amplify an outage.
///
/// ```
/// use human_check_core::{HumanCheck, RetryUnsent};
///
/// fn with_retry(check: impl HumanCheck) -> impl HumanCheck {
///     RetryUnsent::new(check)
/// }
/// ```
///
/// It needs a tokio runtime with its timer. Dropping its future drops the attempt in flight and
/// makes no other.
#[derive(Clone, Debug)]
pub struct RetryUnsent<C> {
    check: C,
    min_wait: Duration,
    max_wait: Duration,
    budget: Arc<RetryBudget>,
}

impl<C: HumanCheck> RetryUnsent<C> {
    /// Creates a check that calls `check` up to twice. The wait between is 50 to 250 milliseconds.
    ///
    /// Its clones share one budget of retries.
    pub fn new(check: C) -> Self {
        Self {
            check,
            min_wait: Duration::from_millis(50),
            max_wait: Duration::from_millis(250),
            budget: Arc::default(),
        }
    }

    /// Sets the bounds of the wait before the retry, which is random. Default 50 to 250
    /// milliseconds.
    ///
    /// If `max_wait` is below `min_wait`, the wait is always `min_wait`.
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
                // A provider that requests a wait must not be called before it is over.
                && error.retry_after().is_none()
        };
        if !outcome.as_ref().is_err_and(unsent) || !self.budget.spend() {
            return outcome;
        }
        let spread = self.max_wait.saturating_sub(self.min_wait);
        tokio::time::sleep(self.min_wait + spread.mul_f64(fraction())).await;
        self.check.check(submission).await
    }

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}
