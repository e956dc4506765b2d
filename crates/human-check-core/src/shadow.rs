use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::counter::count;
use crate::random::fraction;
use crate::{
    CheckError, Clock, Comparison, ComparisonSink, ConfigError, ErrorKind, HumanCheck, Opinion,
    Outcome, Provider, Reports, Submission, SystemClock, Verdict,
};

/// Asks a second check for its opinion and reports how it compares, behind the first one's back.
///
/// May change no outcome. The second is asked after the first has answered, in a task of its own,
/// about its own answers only, and only where the visitor sent one; so its delay, errors and panics
/// reach nobody, and a token is never shown to a vendor it was not made for. Whatever cannot be done
/// at once is dropped and counted, not queued.
///
/// Dropping the future before the first has answered reports nothing. A second opinion that has
/// begun is finished.
#[derive(Debug)]
pub struct Shadow<A, B, S> {
    check: A,
    accepts: Vec<Provider>,
    second: Arc<Second<B, S>>,
    share: f64,
}

#[derive(Debug)]
struct Second<B, S> {
    check: B,
    sink: S,
    deadline: Duration,
    most: usize,
    running: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// Clones share the second check, the sink and the places.
impl<A: Clone, B, S> Clone for Shadow<A, B, S> {
    fn clone(&self) -> Self {
        Self {
            check: self.check.clone(),
            accepts: self.accepts.clone(),
            second: Arc::clone(&self.second),
            share: self.share,
        }
    }
}

impl<A: HumanCheck, B: HumanCheck, S: ComparisonSink> Shadow<A, B, S> {
    /// Compares every visitor of `check` with what `second` says, and tells `sink`. At most 64
    /// second opinions are under way, each for at most 5 seconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same vendor's answers: asking twice would spend the
    /// token under the first one's feet.
    pub fn new(check: A, second: B, sink: S) -> Result<Self, ConfigError> {
        let mut theirs = second.accepts().iter();
        if let Some(shared) = theirs.find(|p| check.accepts().contains(p)) {
            return Err(ConfigError::new(
                "shadow",
                format!("asks {shared}, and so does the check it stands behind"),
                "compare two vendors, each with a widget of its own on the page",
            ));
        }
        Ok(Self {
            accepts: Provider::merged(check.accepts(), second.accepts()),
            check,
            second: Arc::new(Second {
                check: second,
                sink,
                deadline: Duration::from_secs(5),
                most: 64,
                running: AtomicUsize::new(0),
                clock: Arc::new(SystemClock),
            }),
            share: 1.0,
        })
    }

    /// Compares this share of the visitors, from 0 to 1, chosen by chance.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is no such number.
    pub fn with_sample(mut self, share: f64) -> Result<Self, ConfigError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(ConfigError::new(
                "sample",
                format!("is {share}"),
                "write a number from 0 to 1",
            ));
        }
        self.share = share;
        Ok(self)
    }

    /// Gives a second opinion up after so long, and compares that as a failure.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        self.changed(|second| second.deadline = deadline)
    }

    /// Lets so many second opinions be under way; those beyond are dropped.
    #[must_use]
    pub fn with_most(self, most: usize) -> Self {
        self.changed(|second| second.most = most)
    }

    /// Dates comparisons by another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.changed(|second| second.clock = Arc::new(clock))
    }

    fn changed(mut self, change: impl FnOnce(&mut Second<B, S>)) -> Self {
        // While it is being set up nobody else holds it.
        if let Some(second) = Arc::get_mut(&mut self.second) {
            change(second);
        }
        self
    }

    fn compare(&self, submission: &Submission, first: Opinion) {
        let second = &self.second;
        let Some(place) = Place::take(second) else {
            return dropped("full");
        };
        let Ok(runtime) = Handle::try_current() else {
            return dropped("no-runtime");
        };
        let own = submission.only_for(second.check.accepts());
        // What its vendor never states says nothing about the visitor.
        let own = own.expecting_what(second.check.reports());
        let at = second.clock.now();
        // Detached: it ends by its own deadline.
        drop(runtime.spawn(async move {
            let second = place.second();
            let opinion = second.opinion(&own).await;
            count!("human_check_comparisons_total", "first" => word(&first), "second" => word(&opinion));
            second.sink.record(Comparison {
                at,
                opinions: vec![first, opinion],
            });
        }));
    }
}

impl<B: HumanCheck, S> Second<B, S> {
    async fn opinion(&self, own: &Submission) -> Opinion {
        let addressee = own.addressee(self.check.accepts());
        if !own.answers_any(self.check.accepts()) {
            return Opinion::unasked(addressee);
        }
        let start = Instant::now();
        let outcome = timeout(self.deadline, self.check.check(own))
            .await
            .unwrap_or_else(|_| {
                Err(CheckError::new(
                    ErrorKind::Unavailable,
                    addressee,
                    "deadline",
                ))
            });
        Opinion::of(addressee, &outcome, start.elapsed())
    }
}

/// One of the places for second opinions. Freed when dropped, also by a panic.
struct Place<B, S>(Arc<Second<B, S>>);

impl<B, S> Place<B, S> {
    fn take(second: &Arc<Second<B, S>>) -> Option<Self> {
        let taken = second.running.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(second));
        (taken < second.most).then_some(place)
    }

    fn second(&self) -> &Second<B, S> {
        &self.0
    }
}

impl<B, S> Drop for Place<B, S> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

fn dropped(reason: &'static str) {
    count!("human_check_comparisons_dropped_total", "reason" => reason);
    tracing::debug!(target: "human_check", reason, "a comparison was dropped");
}

/// For a label: only whether, not why.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only counted"))]
fn word(opinion: &Opinion) -> &'static str {
    match opinion.outcome {
        Outcome::Failed(..) => "failed",
        Outcome::Human => "human",
        Outcome::NoAnswer => "no-answer",
        Outcome::NotHuman(_) => "not-human",
    }
}

#[async_trait]
impl<A: HumanCheck, B: HumanCheck, S: ComparisonSink> HumanCheck for Shadow<A, B, S> {
    /// Those of both: the page shows both widgets, and what arrives for the second must get here.
    fn accepts(&self) -> &[Provider] {
        &self.accepts
    }

    fn reports(&self) -> Reports {
        self.check.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let outcome = self.check.check(submission).await;
        // Somebody who sent nothing, or what is no token, has no opinions to compare.
        let askable = submission.askable(self.check.accepts()).is_ok();
        if askable && fraction() < self.share {
            let addressee = submission.addressee(self.check.accepts());
            let first = Opinion::of(addressee, &outcome, start.elapsed());
            self.compare(submission, first);
        }
        outcome
    }
}
