use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, ClaimError, Claimed, ConfigError, Facts, Health, HumanCheck,
    Provider, Reason, Refusal, ReplayProtection, ReplayStore, Submission, TokenId, Verdict,
};

/// A check whose tokens pass once each: after a human verdict it claims the token in a replay
/// store.
///
/// Use it for providers that do not refuse replays themselves, and as a second line of defence for
/// those that do.
///
/// It may change a human verdict into a refusal ([`Reason::Replayed`]), or into
/// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store fails. It never changes a
/// refusal or an error, and claims no token that was refused. If several tokens of one submission
/// had to pass, it claims all of them; see [`Facts::also_judged`].
///
/// ```
/// use human_check_core::{ConfigError, HumanCheck, MemoryReplayStore, ReplayGuard};
/// use std::time::Duration;
///
/// fn without_replays(check: impl HumanCheck) -> Result<impl HumanCheck, ConfigError> {
///     let store = MemoryReplayStore::new(100_000);
///     ReplayGuard::new(check, store).with_ttl(Duration::from_secs(300))
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_replays_total{provider}` and
/// `human_check_store_unavailable_total{reason}`. Events of the target `human_check` state when the
/// store begins to fail (`ERROR`) and when it works again (`INFO`).
///
/// Dropping its future while the provider is called claims nothing. Dropping it while the store is
/// called leaves open whether the token is claimed. A claim is never revoked.
#[derive(Debug)]
pub struct ReplayGuard<C, S> {
    check: C,
    store: S,
    ttl: Duration,
    #[cfg(feature = "tokio")]
    timeout: Option<Duration>,
    failing: AtomicBool,
}

impl<C: HumanCheck, S: ReplayStore> ReplayGuard<C, S> {
    /// Creates a check that claims the tokens which pass `check` in `store`.
    ///
    /// The ttl of a claim is ten minutes, or [`max_ttl`](ReplayStore::max_ttl) of the store if that
    /// is shorter.
    pub fn new(check: C, store: S) -> Self {
        let ttl = store.max_ttl().min(Duration::from_secs(600));
        Self {
            check,
            store,
            ttl,
            #[cfg(feature = "tokio")]
            timeout: None,
            failing: AtomicBool::new(false),
        }
    }

    /// Sets the ttl of a claim. Default ten minutes, or the longest ttl of the store if that is
    /// shorter.
    ///
    /// It must be longer than the provider accepts a token. docs/providers has the lifetimes of
    /// tokens.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the ttl is zero, or longer than [`max_ttl`](ReplayStore::max_ttl) of the
    /// store.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self, ConfigError> {
        let max_ttl = self.store.max_ttl();
        if ttl.is_zero() || ttl > max_ttl {
            return Err(ConfigError::new(
                "ttl",
                format!("is {ttl:?}, and the store accepts up to {max_ttl:?}"),
                "write a ttl above zero in that range, or raise the ttl of the store",
            ));
        }
        self.ttl = ttl;
        Ok(self)
    }

    /// Sets how long all claims of one submission may take together. Default no timeout.
    ///
    /// A claim that takes longer is [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) with the
    /// reason `store-timeout`. For stores whose server may hang. A `Timeout` around this check must be
    /// longer than this timeout and that of the provider together. Otherwise a store that hangs
    /// looks like an outage of the provider.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Claims the tokens, within the timeout if one is set.
    async fn claim_within_timeout(
        &self,
        submission: &Submission,
        facts: &Facts,
    ) -> Result<Claimed, ClaimError> {
        #[cfg(feature = "tokio")]
        if let Some(timeout) = self.timeout {
            return crate::stores::within(timeout, self.claim(submission, facts)).await;
        }
        self.claim(submission, facts).await
    }

    /// Claims the token of every provider that judged.
    async fn claim(&self, submission: &Submission, facts: &Facts) -> Result<Claimed, ClaimError> {
        for judged in facts.all() {
            let token = TokenId::of_submission(submission, &judged.provider);
            if self.store.claim(token, self.ttl).await? == Claimed::Duplicate {
                return Ok(Claimed::Duplicate);
            }
        }
        Ok(Claimed::First)
    }

    /// Logs when the store begins to fail, and when it works again.
    ///
    /// One event for each change: an event for each claim would flood the log during an outage.
    fn log_change(&self, error: Option<&ClaimError>) {
        if self.failing.swap(error.is_some(), Ordering::Relaxed) == error.is_some() {
            return;
        }
        match error {
            Some(error) => tracing::error!(
                target: "human_check",
                reason = error.reason(),
                error = error as &dyn std::error::Error,
                "the replay store fails, so no token can be accepted"
            ),
            None => tracing::info!(target: "human_check", "the replay store works again"),
        }
    }
}

#[async_trait]
impl<C: HumanCheck, S: ReplayStore> HumanCheck for ReplayGuard<C, S> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let mut facts = match self.check.check(submission).await? {
            Verdict::Human(facts) => facts,
            refused @ Verdict::NotHuman(_) => return Ok(refused),
        };
        let claimed = self.claim_within_timeout(submission, &facts).await;
        self.log_change(claimed.as_ref().err());
        match claimed {
            Ok(Claimed::First) => {
                facts.replay_protection = ReplayProtection::Store;
                Ok(Verdict::Human(facts))
            }
            Ok(Claimed::Duplicate) => {
                count!("human_check_replays_total", "provider" => facts.provider.name());
                tracing::debug!(
                    target: "human_check",
                    provider = facts.provider.name(),
                    outcome = "not-human",
                    reason = Reason::Replayed.as_str(),
                    "refused as a replay"
                );
                Ok(Refusal::new(Reason::Replayed).with_facts(facts).into())
            }
            Err(error) => {
                count!("human_check_store_unavailable_total", "reason" => error.reason());
                Err(error.into_check_error(&facts.provider))
            }
        }
    }

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}
