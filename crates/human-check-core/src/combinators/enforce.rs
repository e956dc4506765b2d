use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Capabilities, CheckError, Clock, ConfigError, HumanCheck, Policy, Provider, Refusal,
    Submission, SystemClock, Verdict,
};

/// Holds the human verdicts of a check to a [`Policy`].
///
/// May turn human into not human. Never changes a refusal or an error. Dropping its future drops
/// the check's and nothing else.
#[derive(Clone, Debug)]
pub struct Enforce<C> {
    check: C,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl<C: HumanCheck> Enforce<C> {
    /// Puts `policy` behind `check`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that the check does not report.
    pub fn new(check: C, policy: Policy) -> Result<Self, ConfigError> {
        policy.validate_for(check.capabilities())?;
        Ok(Self {
            check,
            policy,
            clock: Arc::new(SystemClock),
        })
    }

    /// Judges ages by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for Enforce<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let verdict = self.check.check(submission).await?;
        let passed = verdict.is_human();
        let verdict = self.policy.judge(verdict, submission, self.clock.now());
        if let Some(refusal) = verdict.refusal().filter(|_| passed) {
            report(refusal);
        }
        Ok(verdict)
    }
}

/// The provider's yes was reported by its adapter; this is why it did not count.
fn report(refusal: &Refusal) {
    let facts = refusal.facts();
    macro_rules! emit {
        ($level:expr) => {
            tracing::event!(
                target: "human_check",
                $level,
                provider = facts.map_or("", |facts| facts.provider.name()),
                outcome = "not-human",
                reason = refusal.reason().as_str(),
                alert = refusal.is_alert(),
                "refused by policy"
            )
        };
    }
    if refusal.is_alert() {
        emit!(tracing::Level::WARN);
    } else {
        emit!(tracing::Level::DEBUG);
    }
}
