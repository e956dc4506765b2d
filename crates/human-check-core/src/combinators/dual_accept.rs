use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    Capabilities, CheckError, Clock, ConfigError, ErrorKind, HumanCheck, Provider, Submission,
    SystemClock, Verdict,
};

/// Accepts the answers of two checks, for the weeks in which pages move from one provider to the other.
///
/// May change no verdict of the check that judges. Which one that is depends on whose answer
/// arrived, by provider and not by the visitor's word. Where both arrived, both must hold, the new
/// one is asked first, and its facts are the verdict's. With no answer at all the new one refuses.
/// An outage of one provider while the other could judge is [`ErrorKind::Declined`], but for visitors
/// who sent the new one's answer alone: it is the provider in use.
///
/// After the [sunset](Self::until) the old check is dead: it is not asked, and its answers are no
/// answers.
///
/// Dropping its future gives up whichever of them is being asked.
///
/// A policy around both holds the facts of whichever judged, and of both where both did. Rules that
/// only one provider can meet belong on that provider, inside.
#[derive(Clone, Debug)]
pub struct DualAccept<N, O> {
    new: N,
    old: O,
    both: Vec<Provider>,
    sunset: Option<SystemTime>,
    counts: Arc<DualAcceptCounts>,
    clock: Arc<dyn Clock>,
}

/// How many submissions were judged by whom since the start.
#[derive(Debug, Default)]
pub struct DualAcceptCounts {
    new: AtomicU64,
    old: AtomicU64,
    both: AtomicU64,
    sunset: AtomicU64,
}

impl DualAcceptCounts {
    /// Those with an answer for the new check only.
    pub fn new_only(&self) -> u64 {
        self.new.load(Ordering::Relaxed)
    }

    /// Those with an answer for the old check only. When it stays at zero, switch the old one off.
    pub fn old_only(&self) -> u64 {
        self.old.load(Ordering::Relaxed)
    }

    /// Those with answers for both.
    pub fn both(&self) -> u64 {
        self.both.load(Ordering::Relaxed)
    }

    /// Those with an answer for the old check only, after its sunset.
    pub fn after_sunset(&self) -> u64 {
        self.sunset.load(Ordering::Relaxed)
    }
}

impl<N: HumanCheck, O: HumanCheck> DualAccept<N, O> {
    /// Accepts what `new` accepts, and still what `old` does.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers, so that nobody could tell by the
    /// answer who is to judge.
    pub fn new(new: N, old: O) -> Result<Self, ConfigError> {
        if let Some(shared) = old.providers().iter().find(|p| new.providers().contains(p)) {
            return Err(ConfigError::new(
                "dual_accept",
                format!("is given two checks that accept {shared}"),
                "give it two providers; two keys of one provider need two providers with fields of their own",
            ));
        }
        Ok(Self {
            both: Provider::merged(new.providers(), old.providers()),
            new,
            old,
            sunset: None,
            counts: Arc::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Ends the old check at this moment.
    #[must_use]
    pub fn with_sunset(mut self, sunset: SystemTime) -> Self {
        self.sunset = Some(sunset);
        self
    }

    /// Tells the sunset by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who judged how often. Clones count together, so keep the handle and give the check away.
    pub fn counts(&self) -> Arc<DualAcceptCounts> {
        Arc::clone(&self.counts)
    }

    fn is_over(&self) -> bool {
        self.sunset.is_some_and(|sunset| self.clock.now() >= sunset)
    }

    async fn judge(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let old = submission.has_token_for_any(self.old.providers());
        let new = submission.has_token_for_any(self.new.providers());
        let over = self.is_over();
        let (counter, judges) = match (new, old) {
            (_, false) => (&self.counts.new, "new"),
            (true, true) if over => (&self.counts.new, "new"),
            (false, true) if over => (&self.counts.sunset, "after-sunset"),
            (false, true) => (&self.counts.old, "old"),
            (true, true) => (&self.counts.both, "both"),
        };
        if new || old {
            counter.fetch_add(1, Ordering::Relaxed);
            count!("human_check_dual_accept_total", "judge" => judges);
            tracing::debug!(
                target: "human_check",
                judge = judges,
                provider = submission.addressed_to(&self.both).name(),
                "accepted for judging"
            );
        }
        if over && old && !new {
            tracing::warn!(
                target: "human_check",
                provider = submission.addressed_to(self.old.providers()).name(),
                "an answer of a provider that is not accepted any more; a page still shows its widget"
            );
        }
        if over || !old {
            return self.ask_new(submission).await;
        }
        if !new {
            return self.ask_old(submission).await;
        }
        match self.ask_new(submission).await {
            Ok(Verdict::Human(facts)) => Ok(match self.ask_old(submission).await? {
                Verdict::Human(old) => Verdict::Human(facts.with_also_judged(old)),
                refused @ Verdict::NotHuman(_) => refused,
            }),
            // The same the other way round: what the old provider refuses is refused.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                match self.old.check(submission).await {
                    Ok(Verdict::Human(_)) => Err(error.escalated_to(ErrorKind::Declined)),
                    Ok(refused) => {
                        Ok(refused.with_provider(submission.addressed_to(self.old.providers())))
                    }
                    Err(old) => Err(error.escalated_to(old.kind())),
                }
            }
            outcome => outcome,
        }
    }

    async fn ask_new(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let verdict = self.new.check(submission).await?;
        Ok(verdict.with_provider(submission.addressed_to(self.new.providers())))
    }

    /// Somebody else can judge when the old provider cannot, so its trouble is no outage: otherwise a bot
    /// would send its answer alone where routes open on one.
    async fn ask_old(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        match self.old.check(submission).await {
            Ok(verdict) => Ok(verdict.with_provider(submission.addressed_to(self.old.providers()))),
            Err(error) => Err(error.escalated_to(ErrorKind::Declined)),
        }
    }
}

#[async_trait]
impl<N: HumanCheck, O: HumanCheck> HumanCheck for DualAccept<N, O> {
    fn providers(&self) -> &[Provider] {
        if self.is_over() {
            self.new.providers()
        } else {
            &self.both
        }
    }

    /// What can be relied on whichever of them judges.
    fn capabilities(&self) -> Capabilities {
        if self.is_over() {
            self.new.capabilities()
        } else {
            self.new.capabilities().or(self.old.capabilities())
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.judge(submission).await
    }
}
