use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Capabilities, CheckError, Clock, ConfigError, Health, HumanCheck, Policy, Provider, Refusal,
    Submission, SystemClock, Verdict,
};

/// A check whose human verdicts must satisfy a [`Policy`].
///
/// It may change a human verdict into a refusal. It never changes a refusal or an error. A refusal
/// by the policy emits an event of the target `human_check`, with the level `WARN` if it is an
/// alert and `DEBUG` otherwise.
///
/// ```
/// use human_check_core::{ConfigError, Enforce, HumanCheck, Policy};
///
/// fn for_this_host(check: impl HumanCheck) -> Result<impl HumanCheck, ConfigError> {
///     Enforce::new(check, Policy::new().with_hostnames(["www.example.com"])?)
/// }
/// ```
///
/// Dropping its future drops the future of the check, with no further effect.
#[derive(Clone, Debug)]
pub struct Enforce<C> {
    check: C,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl<C: HumanCheck> Enforce<C> {
    /// Creates a check that applies `policy` to the human verdicts of `check`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the policy requires a fact that the check never reports; see
    /// [`Policy::validate_for`].
    pub fn new(check: C, policy: Policy) -> Result<Self, ConfigError> {
        policy.validate_for(check.capabilities())?;
        Ok(Self {
            check,
            policy,
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the clock that the age of a challenge is measured with. Default [`SystemClock`].
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

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}

/// Logs why the policy refused. The adapter has logged before that the provider vouched for the
/// visitor.
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
