use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, ConfigError, ErrorKind, Health, HumanCheck, Provider, Submission,
    Verdict,
};

/// A check that calls a second check if the first one is unavailable.
///
/// The page shows the widgets of both providers, because the second check needs a token of its own
/// provider.
///
/// It may change [`ErrorKind::Unavailable`] into the result of the second check, and
/// [`ErrorKind::Declined`] and [`ErrorKind::RateLimited`] as well after an [opt-in](Self::with_failover_when_declined). It never
/// changes a verdict. So a bot cannot choose the weaker provider: a refusal of the first check
/// stands, and the first check refuses a submission without a token for it.
///
/// | the first check | the second check | the result |
/// | --- | --- | --- |
/// | any verdict, or another kind of error | is not called | that of the first check |
/// | unavailable | has no token | the first error, as [`ErrorKind::Declined`] |
/// | unavailable | returns a verdict | that of the second check |
/// | unavailable | fails | the second error, of the [kind](ErrorKind) that permits less of both |
///
/// The second row is no outage, because a bot could leave the second token out to pass a route that
/// fails open.
///
/// ```
/// use human_check_core::{ConfigError, Failover, HumanCheck};
///
/// fn with_failover(
///     turnstile: impl HumanCheck,
///     hcaptcha: impl HumanCheck,
/// ) -> Result<impl HumanCheck, ConfigError> {
///     Failover::new(turnstile, hcaptcha)
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_failovers_total{from,to}`. A `WARN` event of
/// the target `human_check` states each failover.
///
/// It has no timeout for both calls together; put a `Timeout` around it. Dropping its future drops
/// the call in flight.
#[derive(Clone, Debug)]
pub struct Failover<A, B> {
    first: A,
    second: B,
    providers: Vec<Provider>,
    when_declined: bool,
}

impl<A: HumanCheck, B: HumanCheck> Failover<A, B> {
    /// Creates a check that calls `first`, and `second` if `first` is unavailable.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider: `second` would get a token
    /// that `first` may have used up.
    pub fn new(first: A, second: B) -> Result<Self, ConfigError> {
        let mut accepted = second.providers().iter();
        if let Some(shared) = accepted.find(|p| first.providers().contains(p)) {
            return Err(ConfigError::new(
                "failover",
                format!("calls {shared}, as the first check does"),
                "use another provider, with its own widget on the page",
            ));
        }
        Ok(Self {
            providers: Provider::merged(first.providers(), second.providers()),
            first,
            second,
            when_declined: false,
        })
    }

    /// Also calls the second check if the first one declines to verify, such as beyond a quota, or
    /// limits the rate. Default off.
    ///
    /// Risk: an attacker who exhausts the quota of the first provider chooses the second one.
    #[must_use]
    pub fn with_failover_when_declined(mut self) -> Self {
        self.when_declined = true;
        self
    }

    /// Returns whether an error of `kind` leads to the second check.
    fn fails_over(&self, kind: ErrorKind) -> bool {
        match kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Declined | ErrorKind::RateLimited => self.when_declined,
            ErrorKind::Misconfigured | ErrorKind::Protocol | ErrorKind::StoreUnavailable => false,
        }
    }
}

#[async_trait]
impl<A: HumanCheck, B: HumanCheck> HumanCheck for Failover<A, B> {
    fn providers(&self) -> &[Provider] {
        &self.providers
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
            // The second provider could have decided if it had a token. If this were an outage, a
            // bot would leave the second token out to pass a route that fails open.
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

    /// Down only if both checks are: otherwise one of them can still decide.
    async fn probe_health(&self) -> Health {
        match self.first.probe_health().await {
            up if up.is_up() => up,
            first => match self.second.probe_health().await {
                Health::Down(_) => first,
                second => second,
            },
        }
    }
}
