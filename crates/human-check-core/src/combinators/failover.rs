use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, ConfigError, ErrorKind, HumanCheck, Provider, Submission, Verdict,
};

/// Asks a second check where the first is unavailable.
///
/// May turn [`ErrorKind::Unavailable`] into anything the second says, and [`ErrorKind::Declined`],
/// too, where that was [opted in](Self::with_failover_when_declined). Never changes a verdict, and so a bot
/// cannot choose the weaker provider: a refusal stands, and whoever sends no answer for the first is
/// refused by the first. The second is asked only about an answer of its own, so the page shows both
/// widgets.
///
/// Where both are asked in vain, the error is the second's, of the [kind](ErrorKind) that gives a
/// route less reason to open. Without an answer for the second, the first one's outage is no outage but
/// [`ErrorKind::Declined`]: otherwise a bot would leave that answer out where routes open on outages.
///
/// Dropping its future gives up whichever of them is being asked. It keeps no deadline for both
/// together; put a `Timeout` around it.
#[derive(Clone, Debug)]
pub struct Failover<A, B> {
    first: A,
    second: B,
    accepts: Vec<Provider>,
    when_declined: bool,
}

impl<A: HumanCheck, B: HumanCheck> Failover<A, B> {
    /// Puts `second` behind `first`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers: a token that the first may have
    /// spent would be shown again.
    pub fn new(first: A, second: B) -> Result<Self, ConfigError> {
        let mut theirs = second.providers().iter();
        if let Some(shared) = theirs.find(|p| first.providers().contains(p)) {
            return Err(ConfigError::new(
                "failover",
                format!("asks {shared}, and so does the check that it stands in for"),
                "name another provider, with a widget of its own on the page",
            ));
        }
        Ok(Self {
            accepts: Provider::merged(first.providers(), second.providers()),
            first,
            second,
            when_declined: false,
        })
    }

    /// Asks the second also where the first answers but will not judge, as with a spent quota.
    ///
    /// An attacker who burns the first one's quota then chooses the second.
    #[must_use]
    pub fn with_failover_when_declined(mut self) -> Self {
        self.when_declined = true;
        self
    }

    fn fails_over(&self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Declined => self.when_declined,
            ErrorKind::Misconfigured | ErrorKind::Protocol | ErrorKind::StoreUnavailable => false,
        }
    }
}

#[async_trait]
impl<A: HumanCheck, B: HumanCheck> HumanCheck for Failover<A, B> {
    fn providers(&self) -> &[Provider] {
        &self.accepts
    }

    fn capabilities(&self) -> Capabilities {
        self.first.capabilities().or(self.second.capabilities())
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let error = match self.first.check(submission).await {
            Err(error) if self.fails_over(error.kind()) => error,
            outcome => {
                let first = submission.addressed_to(self.first.providers());
                return outcome.map(|verdict| verdict.with_provider(first));
            }
        };
        if !submission.has_token_for_any(self.second.providers()) {
            // Somebody could have told, and was given nothing to tell by. If that were an outage, a bot
            // would leave the second answer out where routes open on one.
            return Err(error.escalated_to(ErrorKind::Declined));
        }
        let second = submission.addressed_to(self.second.providers());
        count!(
            "human_check_failovers_total",
            "from" => error.provider().name(),
            "to" => second.name()
        );
        tracing::warn!(
            target: "human_check",
            from = error.provider().name(),
            to = second.name(),
            reason = error.reason(),
            "failed over"
        );
        let outcome = self.second.check(submission).await;
        outcome
            .map(|verdict| verdict.with_provider(second))
            .map_err(|second| second.escalated_to(error.kind()))
    }
}
