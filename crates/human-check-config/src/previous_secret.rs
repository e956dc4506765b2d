use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, Health, HumanCheck, Provider, Submission, Verdict,
};

/// The reasons with which a provider says that the secret is wrong. It has not used up the token
/// then.
const WRONG_SECRET: [&str; 2] = ["api-key", "secret"];

/// The check of an account that had another secret before: it is called with that one if the
/// provider does not know the present one, yet or any more.
#[derive(Debug)]
pub(crate) struct PreviousSecret {
    check: Box<dyn HumanCheck>,
    previous: Box<dyn HumanCheck>,
}

impl PreviousSecret {
    /// Returns a check with both secrets, or `check` if there is one only.
    pub(crate) fn or_alone(
        check: Box<dyn HumanCheck>,
        previous: Option<Box<dyn HumanCheck>>,
    ) -> Box<dyn HumanCheck> {
        match previous {
            Some(previous) => Box::new(Self { check, previous }),
            None => check,
        }
    }
}

#[async_trait]
impl HumanCheck for PreviousSecret {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        match self.check.check(submission).await {
            Err(error)
                if error.kind() == ErrorKind::Misconfigured
                    && WRONG_SECRET.contains(&error.reason()) =>
            {
                let outcome = self.previous.check(submission).await;
                match outcome {
                    // Neither is right, and the present one is what the operator must correct.
                    Err(previous) if previous.kind() == ErrorKind::Misconfigured => Err(error),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        }
    }

    async fn probe_health(&self) -> Health {
        match self.check.probe_health().await {
            // Visitors pass by the previous one.
            Health::Misconfigured(reason) if WRONG_SECRET.contains(&reason) => {
                match self.previous.probe_health().await {
                    Health::Misconfigured(_) => Health::Misconfigured(reason),
                    health => health,
                }
            }
            health => health,
        }
    }
}
