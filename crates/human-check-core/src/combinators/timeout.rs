use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, ErrorKind, Health, HumanCheck, Provider, Submission, Verdict,
};

/// A check with a timeout: a result that takes longer becomes [`ErrorKind::Unavailable`].
///
/// The reason is `timeout`. The future of the check is dropped then, and the provider may have used
/// the token up. A result in time is never changed. Put it around combinators that call several
/// checks, such as `Failover`, which have no timeout for the sum of their calls.
///
/// ```
/// use human_check_core::{HumanCheck, Timeout};
/// use std::time::Duration;
///
/// fn bounded(check: impl HumanCheck) -> impl HumanCheck {
///     Timeout::new(check, Duration::from_secs(3))
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_timeouts_total{provider}`.
///
/// It needs a tokio runtime with its timer. Dropping its future drops the future of the check.
#[derive(Clone, Debug)]
pub struct Timeout<C> {
    check: C,
    after: Duration,
}

impl<C: HumanCheck> Timeout<C> {
    /// Creates a check that fails if `check` takes longer than `after`.
    pub fn new(check: C, after: Duration) -> Self {
        Self { check, after }
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for Timeout<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let check = self.check.check(submission);
        tokio::time::timeout(self.after, check)
            .await
            .unwrap_or_else(|_| {
                let addressed_to = submission.addressed_to(self.providers());
                count!("human_check_timeouts_total", "provider" => addressed_to.name());
                Err(CheckError::new(
                    ErrorKind::Unavailable,
                    addressed_to,
                    "timeout",
                ))
            })
    }

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}
