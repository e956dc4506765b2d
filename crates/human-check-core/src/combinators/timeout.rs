use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{Capabilities, CheckError, ErrorKind, HumanCheck, Provider, Submission, Verdict};

/// Gives a check up after so long.
///
/// May turn whatever comes later into [`ErrorKind::Unavailable`] (`deadline`). The check's future is
/// dropped then; the provider may have spent the token. Never changes what comes in time.
///
/// Dropping its future drops the check's.
#[derive(Clone, Debug)]
pub struct Timeout<C> {
    check: C,
    after: Duration,
}

impl<C: HumanCheck> Timeout<C> {
    /// Gives `check` up when it has taken so long.
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
}
