use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;

use crate::counter::count;
use crate::{
    CheckError, Clock, ConfigError, ErrorKind, HumanCheck, Provider, Reports, Submission,
    SystemClock, Verdict,
};

/// Accepts the answers of two checks, for the weeks in which pages move from one vendor to the other.
///
/// May change no verdict of the check that judges. Which one that is depends on whose answer
/// arrived, by provider and not by the visitor's word. Where both arrived, both must hold, the new
/// one is asked first, and its facts are the verdict's. With no answer at all the new one refuses.
/// An outage of one vendor while the other could judge is [`ErrorKind::Declined`], but for visitors
/// who sent the new one's answer alone: it is the vendor in use.
///
/// After the [sunset](Self::until) the old check is dead: it is not asked, and its answers are no
/// answers.
///
/// Dropping its future gives up whichever of them is being asked.
///
/// A policy around both holds the facts of whichever judged, and of both where both did. Rules that
/// only one vendor can meet belong on that vendor, inside.
#[derive(Clone, Debug)]
pub struct Accept<N, O> {
    new: N,
    old: O,
    both: Vec<Provider>,
    until: Option<SystemTime>,
    shares: Arc<Shares>,
    clock: Arc<dyn Clock>,
}

/// How many submissions were judged by whom since the start.
#[derive(Debug, Default)]
pub struct Shares {
    new: AtomicU64,
    old: AtomicU64,
    both: AtomicU64,
    sunset: AtomicU64,
}

impl Shares {
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

impl<N: HumanCheck, O: HumanCheck> Accept<N, O> {
    /// Accepts what `new` accepts, and still what `old` does.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same vendor's answers, so that nobody could tell by the
    /// answer who is to judge.
    pub fn new(new: N, old: O) -> Result<Self, ConfigError> {
        if let Some(shared) = old.accepts().iter().find(|p| new.accepts().contains(p)) {
            return Err(ConfigError::new(
                "accept",
                format!("is given two checks that accept {shared}"),
                "give it two vendors; two keys of one vendor need two providers with fields of their own",
            ));
        }
        Ok(Self {
            both: Provider::merged(new.accepts(), old.accepts()),
            new,
            old,
            until: None,
            shares: Arc::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Ends the old check at this moment.
    #[must_use]
    pub fn until(mut self, sunset: SystemTime) -> Self {
        self.until = Some(sunset);
        self
    }

    /// Tells the sunset by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who judged how often. Clones count together, so keep the handle and give the check away.
    pub fn shares(&self) -> Arc<Shares> {
        Arc::clone(&self.shares)
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|sunset| self.clock.now() >= sunset)
    }

    async fn judge(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let old = submission.answers_any(self.old.accepts());
        let new = submission.answers_any(self.new.accepts());
        let over = self.is_over();
        let (counter, judges) = match (new, old) {
            (_, false) => (&self.shares.new, "new"),
            (true, true) if over => (&self.shares.new, "new"),
            (false, true) if over => (&self.shares.sunset, "after-sunset"),
            (false, true) => (&self.shares.old, "old"),
            (true, true) => (&self.shares.both, "both"),
        };
        if new || old {
            counter.fetch_add(1, Ordering::Relaxed);
            count!("human_check_accepted_total", "judge" => judges);
            tracing::debug!(
                target: "human_check",
                judge = judges,
                provider = submission.addressee(&self.both).name(),
                "accepted for judging"
            );
        }
        if over && old && !new {
            tracing::warn!(
                target: "human_check",
                provider = submission.addressee(self.old.accepts()).name(),
                "an answer of a vendor that is not accepted any more; a page still shows its widget"
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
                Verdict::Human(old) => Verdict::Human(facts.with_beside(old)),
                refused @ Verdict::NotHuman(_) => refused,
            }),
            // The same the other way round: what the old vendor refuses is refused.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                match self.old.check(submission).await {
                    Ok(Verdict::Human(_)) => Err(error.at_least(ErrorKind::Declined)),
                    Ok(refused) => Ok(refused.by(submission.addressee(self.old.accepts()))),
                    Err(old) => Err(error.at_least(old.kind())),
                }
            }
            outcome => outcome,
        }
    }

    async fn ask_new(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let verdict = self.new.check(submission).await?;
        Ok(verdict.by(submission.addressee(self.new.accepts())))
    }

    /// Somebody else can judge when the old vendor cannot, so its trouble is no outage: otherwise a bot
    /// would send its answer alone where routes open on one.
    async fn ask_old(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        match self.old.check(submission).await {
            Ok(verdict) => Ok(verdict.by(submission.addressee(self.old.accepts()))),
            Err(error) => Err(error.at_least(ErrorKind::Declined)),
        }
    }
}

#[async_trait]
impl<N: HumanCheck, O: HumanCheck> HumanCheck for Accept<N, O> {
    fn accepts(&self) -> &[Provider] {
        if self.is_over() {
            self.new.accepts()
        } else {
            &self.both
        }
    }

    /// What can be relied on whichever of them judges.
    fn reports(&self) -> Reports {
        if self.is_over() {
            self.new.reports()
        } else {
            self.new.reports().or(self.old.reports())
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        self.judge(submission).await
    }
}
