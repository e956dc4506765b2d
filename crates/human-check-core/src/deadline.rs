use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{CheckError, ErrorKind, HumanCheck, Provider, Reports, Submission, Verdict};

/// Gives a check up after so long.
///
/// May turn whatever comes later into [`ErrorKind::Unavailable`] (`deadline`). The check's future is
/// dropped then; the vendor may have spent the token. Never changes what comes in time.
///
/// Dropping its future drops the check's.
#[derive(Clone, Debug)]
pub struct Deadline<C> {
    check: C,
    after: Duration,
}

impl<C: HumanCheck> Deadline<C> {
    /// Gives `check` up when it has taken so long.
    pub fn new(check: C, after: Duration) -> Self {
        Self { check, after }
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for Deadline<C> {
    fn accepts(&self) -> &[Provider] {
        self.check.accepts()
    }

    fn reports(&self) -> Reports {
        self.check.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let check = self.check.check(submission);
        tokio::time::timeout(self.after, check)
            .await
            .unwrap_or_else(|_| {
                let addressee = submission.addressee(self.accepts());
                count!("human_check_deadlines_total", "provider" => addressee.name());
                Err(CheckError::new(
                    ErrorKind::Unavailable,
                    addressee,
                    "deadline",
                ))
            })
    }
}
