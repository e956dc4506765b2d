use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    CheckError, Claim, ClaimError, Claimed, ConfigError, ErrorKind, Facts, HumanCheck, Provider,
    Reason, Refusal, Reports, SingleUse, SpentTokens, Submission, Verdict,
};

/// Lets each token pass once, whatever its vendor does about it.
///
/// May turn human into not human ([`Reason::Spent`]), and into [`ErrorKind::Unclaimed`] when the
/// store cannot tell. Never changes a refusal or an error: refused tokens leave nothing behind.
///
/// Claimed is every answer that was judged: the one that decided, and those that had to hold
/// [beside](crate::Facts::beside) it.
///
/// Dropping its future while the vendor is asked claims nothing; while the store is asked, the
/// token is claimed or not. A claim is never taken back.
#[derive(Debug)]
pub struct ReplayGuard<C, S> {
    check: C,
    store: S,
    life: Duration,
    #[cfg(feature = "tokio")]
    deadline: Option<Duration>,
    failing: AtomicBool,
}

impl<C: HumanCheck, S: SpentTokens> ReplayGuard<C, S> {
    /// Remembers the tokens that pass `check` in `store`, for ten minutes or as long as the store can.
    /// Vendors' tokens live two to five minutes.
    pub fn new(check: C, store: S) -> Self {
        let life = store.longest_life().min(Duration::from_secs(600));
        Self {
            check,
            store,
            life,
            #[cfg(feature = "tokio")]
            deadline: None,
            failing: AtomicBool::new(false),
        }
    }

    /// Remembers them so long instead. It must be longer than any token of this check lives.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is zero, or longer than the store can remember.
    pub fn with_life(mut self, life: Duration) -> Result<Self, ConfigError> {
        let longest = self.store.longest_life();
        if life.is_zero() || life > longest {
            return Err(ConfigError::new(
                "life",
                format!("is {life:?}, and the store can remember a token for {longest:?}"),
                "give a life above zero within that, or the store a longer one",
            ));
        }
        self.life = life;
        Ok(self)
    }

    /// Gives the store up after so long, over all answers that are to be claimed: `Unclaimed`, reason
    /// `store-timeout`. For stores that may never answer. A `Deadline` around this check must leave
    /// room for it, or a store that hangs looks like an outage of the vendor.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn with_store_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Claims within the deadline, where there is one.
    async fn claim_in_time(
        &self,
        submission: &Submission,
        facts: &Facts,
    ) -> Result<Claimed, ClaimError> {
        #[cfg(feature = "tokio")]
        if let Some(deadline) = self.deadline {
            let claim = self.claim(submission, facts);
            let claimed = tokio::time::timeout(deadline, claim).await;
            return claimed.unwrap_or_else(|_| Err(ClaimError::new("store-timeout")));
        }
        self.claim(submission, facts).await
    }

    async fn claim(&self, submission: &Submission, facts: &Facts) -> Result<Claimed, ClaimError> {
        for judged in facts.all() {
            let claim = Claim::answer(submission, &judged.provider);
            if self.store.claim(claim, self.life).await? == Claimed::Before {
                return Ok(Claimed::Before);
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
impl<C: HumanCheck, S: SpentTokens> HumanCheck for ReplayGuard<C, S> {
    fn accepts(&self) -> &[Provider] {
        self.check.accepts()
    }

    fn reports(&self) -> Reports {
        self.check.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let mut facts = match self.check.check(submission).await? {
            Verdict::Human(facts) => facts,
            refused @ Verdict::NotHuman(_) => return Ok(refused),
        };
        let claimed = self.claim_in_time(submission, &facts).await;
        self.note(claimed.as_ref().err());
        match claimed {
            Ok(Claimed::First) => {
                facts.single_use = SingleUse::Store;
                Ok(Verdict::Human(facts))
            }
            Ok(Claimed::Before) => {
                count!("human_check_replays_total", "provider" => facts.provider.name());
                tracing::debug!(
                    target: "human_check",
                    provider = facts.provider.name(),
                    outcome = "not-human",
                    reason = Reason::Spent.name(),
                    "refused as a replay"
                );
                Ok(Refusal::new(Reason::Spent).with_facts(facts).into())
            }
            Err(error) => {
                count!("human_check_unclaimed_total", "reason" => error.reason());
                let reason = error.reason();
                Err(
                    CheckError::new(ErrorKind::Unclaimed, &facts.provider, reason)
                        .with_source(error),
                )
            }
        }
    }
}
