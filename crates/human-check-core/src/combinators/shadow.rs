use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::counter::count;
use crate::random::fraction;
use crate::{
    Capabilities, CheckError, Clock, Comparison, ComparisonSink, ConfigError, ErrorKind,
    HumanCheck, Observation, ObservedOutcome, Provider, Submission, SystemClock, Verdict,
};

/// Asks a second check for its observation and reports how it compares, behind the first one's back.
///
/// May change no outcome. The second is asked after the first has answered, in a task of its own,
/// about its own answers only, and only where the visitor sent one; so its delay, errors and panics
/// reach nobody, and a token is never shown to a provider it was not made for. Whatever cannot be done
/// at once is dropped and counted, not queued.
///
/// Dropping the future before the first has answered reports nothing. A second observation that has
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
    timeout: Duration,
    max_in_flight: usize,
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
    /// Compares every visitor of `check` with what `second` says, and tells `sink`. At max_in_flight 64
    /// second observations are under way, each for at max_in_flight 5 seconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers: asking twice would spend the
    /// token under the first one's feet.
    pub fn new(check: A, second: B, sink: S) -> Result<Self, ConfigError> {
        let mut theirs = second.providers().iter();
        if let Some(shared) = theirs.find(|p| check.providers().contains(p)) {
            return Err(ConfigError::new(
                "shadow",
                format!("asks {shared}, and so does the check it stands behind"),
                "compare two providers, each with a widget of its own on the page",
            ));
        }
        Ok(Self {
            accepts: Provider::merged(check.providers(), second.providers()),
            check,
            second: Arc::new(Second {
                check: second,
                sink,
                timeout: Duration::from_secs(5),
                max_in_flight: 64,
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

    /// Gives a second observation up after so long, and compares that as a failure.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        self.changed(|second| second.timeout = timeout)
    }

    /// Lets so many second observations be under way; those beyond are dropped.
    #[must_use]
    pub fn with_max_in_flight(self, max_in_flight: usize) -> Self {
        self.changed(|second| second.max_in_flight = max_in_flight)
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

    fn compare(&self, submission: &Submission, first: Observation) {
        let second = &self.second;
        let Some(place) = Place::take(second) else {
            return dropped("full");
        };
        let Ok(runtime) = Handle::try_current() else {
            return dropped("no-runtime");
        };
        let own = submission.retain_providers(second.check.providers());
        // What its provider never states says nothing about the visitor.
        let own = own.expecting_what(second.check.capabilities());
        let at = second.clock.now();
        // Detached: it ends by its own deadline.
        drop(runtime.spawn(async move {
            let second = place.second();
            let observation = second.observation(&own).await;
            count!("human_check_comparisons_total", "first" => word(&first), "second" => word(&observation));
            second.sink.record(Comparison {
                at,
                observations: vec![first, observation],
            });
        }));
    }
}

impl<B: HumanCheck, S> Second<B, S> {
    async fn observation(&self, own: &Submission) -> Observation {
        let addressed_to = own.addressed_to(self.check.providers());
        if !own.has_token_for_any(self.check.providers()) {
            return Observation::without_call(addressed_to);
        }
        let start = Instant::now();
        let outcome = timeout(self.timeout, self.check.check(own))
            .await
            .unwrap_or_else(|_| {
                Err(CheckError::new(
                    ErrorKind::Unavailable,
                    addressed_to,
                    "timeout",
                ))
            });
        Observation::of(addressed_to, &outcome, start.elapsed())
    }
}

/// One of the places for second observations. Freed when dropped, also by a panic.
struct Place<B, S>(Arc<Second<B, S>>);

impl<B, S> Place<B, S> {
    fn take(second: &Arc<Second<B, S>>) -> Option<Self> {
        let taken = second.running.fetch_add(1, Ordering::Relaxed);
        let place = Self(Arc::clone(second));
        (taken < second.max_in_flight).then_some(place)
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
fn word(observation: &Observation) -> &'static str {
    match observation.outcome {
        ObservedOutcome::Failed(..) => "failed",
        ObservedOutcome::Human => "human",
        ObservedOutcome::NoToken => "no-answer",
        ObservedOutcome::NotHuman(_) => "not-human",
    }
}

#[async_trait]
impl<A: HumanCheck, B: HumanCheck, S: ComparisonSink> HumanCheck for Shadow<A, B, S> {
    /// Those of both: the page shows both widgets, and what arrives for the second must get here.
    fn providers(&self) -> &[Provider] {
        &self.accepts
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let outcome = self.check.check(submission).await;
        // Somebody who sent nothing, or what is no token, has no observations to compare.
        let precheck = submission.precheck(self.check.providers()).is_ok();
        if precheck && fraction() < self.share {
            let addressed_to = submission.addressed_to(self.check.providers());
            let first = Observation::of(addressed_to, &outcome, start.elapsed());
            self.compare(submission, first);
        }
        outcome
    }
}
