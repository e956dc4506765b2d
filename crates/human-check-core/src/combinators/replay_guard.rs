use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, ClaimError, Claimed, ConfigError, ErrorKind, Facts, HumanCheck,
    Provider, Reason, Refusal, ReplayProtection, ReplayStore, Submission, TokenId, Verdict,
};

/// Lets each token pass once, whatever its provider does about it.
///
/// May turn human into not human ([`Reason::Replayed`]), and into [`ErrorKind::StoreUnavailable`] when the
/// store cannot tell. Never changes a refusal or an error: refused tokens leave nothing behind.
///
/// Claimed is every answer that was judged: the one that decided, and those that had to hold
/// [beside](crate::Facts::beside) it.
///
/// Dropping its future while the provider is asked claims nothing; while the store is asked, the
/// token is claimed or not. A claim is never taken back.
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
    /// Remembers the tokens that pass `check` in `store`, for ten minutes or as long as the store can.
    /// Providers' tokens live two to five minutes.
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

    /// Remembers them so long instead. It must be longer than any token of this check lives.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is zero, or longer than the store can remember.
    pub fn with_ttl(mut self, ttl: Duration) -> Result<Self, ConfigError> {
        let max_ttl = self.store.max_ttl();
        if ttl.is_zero() || ttl > max_ttl {
            return Err(ConfigError::new(
                "ttl",
                format!("is {ttl:?}, and the store can remember a token for {max_ttl:?}"),
                "give a ttl above zero within that, or the store a longer one",
            ));
        }
        self.ttl = ttl;
        Ok(self)
    }

    /// Gives the store up after so long, over all answers that are to be claimed: `StoreUnavailable`, reason
    /// `store-timeout`. For stores that may never answer. A `Timeout` around this check must leave
    /// room for it, or a store that hangs looks like an outage of the provider.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Claims within the timeout, where there is one.
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

    async fn claim(&self, submission: &Submission, facts: &Facts) -> Result<Claimed, ClaimError> {
        for judged in facts.all() {
            let claim = TokenId::of_submission(submission, &judged.provider);
            if self.store.claim(claim, self.ttl).await? == Claimed::Duplicate {
                return Ok(Claimed::Duplicate);
            }
        }
        Ok(Claimed::First)
    }

    /// Once per change, since an outage of the store concerns every visitor.
    fn note(&self, trouble: Option<&ClaimError>) {
        if self.failing.swap(trouble.is_some(), Ordering::Relaxed) == trouble.is_some() {
            return;
        }
        match trouble {
            Some(error) => tracing::error!(
                target: "human_check",
                reason = error.reason(),
                error = error as &dyn std::error::Error,
                "the store of spent tokens fails, so nobody is proven human"
            ),
            None => tracing::info!(target: "human_check", "the store of spent tokens works again"),
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
        self.note(claimed.as_ref().err());
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
                let reason = error.reason();
                Err(
                    CheckError::new(ErrorKind::StoreUnavailable, &facts.provider, reason)
                        .with_source(error),
                )
            }
        }
    }
}
