use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::counter::count;
use crate::random::fraction;
use crate::{
    Capabilities, CheckError, Clock, Comparison, ComparisonSink, ConfigError, ErrorKind, Health,
    HumanCheck, Observation, ObservedOutcome, Provider, Submission, SystemClock, Verdict,
};

/// A check that also calls a second check and reports how the two compare, without effect on the
/// result.
///
/// The page shows the widgets of both providers. The second check is called after the first one has
/// returned, in a task of its own, with the tokens of its own providers only. Its delay, its errors
/// and its panics do not reach the visitor. If the visitor sent no token for it, the comparison
/// says so. A submission that the first check refuses without a call is not compared.
///
/// A comparison beyond [`with_max_in_flight`](Self::with_max_in_flight) is lost: nothing is queued.
/// The sink learns of it, and the log says when it began.
///
/// ```
/// use human_check_core::{ComparisonSink, ConfigError, HumanCheck, Shadow};
///
/// fn compared(
///     hcaptcha: impl HumanCheck,
///     turnstile: impl HumanCheck,
///     sink: impl ComparisonSink,
/// ) -> Result<impl HumanCheck, ConfigError> {
///     Shadow::new(hcaptcha, turnstile, sink)?.with_sample(0.25)
/// }
/// ```
///
/// With the feature `metrics` it counts `human_check_comparisons_total{first,second}` and
/// `human_check_comparisons_dropped_total{reason}`, where `reason` is `in-flight` or `no-runtime`.
///
/// It needs a tokio runtime with its timer. Dropping its future before the first check has returned
/// makes no comparison. A comparison that has begun continues.
#[derive(Debug)]
pub struct Shadow<A, B, S> {
    check: A,
    providers: Vec<Provider>,
    second: Arc<Second<B, S>>,
    share: f64,
    timeout: Duration,
    max_in_flight: usize,
    clock: Arc<dyn Clock>,
}

/// The second check, and where comparisons go.
#[derive(Debug)]
struct Second<B, S> {
    check: B,
    sink: S,
    in_flight: AtomicUsize,
    /// Whether the log has said that comparisons are lost.
    losing: AtomicBool,
}

/// Clones share the second check, the sink and the places in flight.
impl<A: Clone, B, S> Clone for Shadow<A, B, S> {
    fn clone(&self) -> Self {
        Self {
            check: self.check.clone(),
            providers: self.providers.clone(),
            second: Arc::clone(&self.second),
            share: self.share,
            timeout: self.timeout,
            max_in_flight: self.max_in_flight,
            clock: Arc::clone(&self.clock),
        }
    }
}

impl<A: HumanCheck, B: HumanCheck, S: ComparisonSink> Shadow<A, B, S> {
    /// Creates a check that returns the results of `check`, and reports comparisons with `second`
    /// to `sink`.
    ///
    /// It compares every visitor, with at most 64 comparisons in flight, of at most 5 seconds each.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider: each of the two calls would
    /// use up the token of the other.
    pub fn new(check: A, second: B, sink: S) -> Result<Self, ConfigError> {
        let mut accepted = second.providers().iter();
        if let Some(shared) = accepted.find(|p| check.providers().contains(p)) {
            return Err(ConfigError::new(
                "shadow",
                format!("calls {shared}, as the check that decides does"),
                "compare two providers, each with its own widget on the page",
            ));
        }
        Ok(Self {
            providers: Provider::merged(check.providers(), second.providers()),
            check,
            second: Arc::new(Second {
                check: second,
                sink,
                in_flight: AtomicUsize::new(0),
                losing: AtomicBool::new(false),
            }),
            share: 1.0,
            timeout: Duration::from_secs(5),
            max_in_flight: 64,
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets which share of the visitors is compared, from 0 to 1, at random. Default 1.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `share` is outside 0 to 1, or NaN.
    pub fn with_sample(mut self, share: f64) -> Result<Self, ConfigError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(ConfigError::new(
                "sample",
                format!("is {share}, outside 0 to 1"),
                "write a number from 0 to 1",
            ));
        }
        self.share = share;
        Ok(self)
    }

    /// Sets how long the second check may take. Default 5 seconds.
    ///
    /// A result that takes longer is compared as unavailable, with the reason `timeout`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many comparisons may be in flight. Those beyond it are dropped. Default 64.
    #[must_use]
    pub fn with_max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight;
        self
    }

    /// Sets the clock that comparisons are dated with. Default [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the second check, and reports both observations when it has ended.
    fn compare(&self, submission: &Submission, first: Observation) {
        let second = &self.second;
        let Some(permit) = Permit::take(second, self.max_in_flight) else {
            return second.lost("in-flight");
        };
        let Ok(runtime) = Handle::try_current() else {
            return second.lost("no-runtime");
        };
        let own = submission.retain_providers(second.check.providers());
        // An expectation that the second provider can never meet would always refuse.
        let own = own.without_unmeetable_expectations(second.check.capabilities());
        let (at, timeout) = (self.clock.now(), self.timeout);
        let (route, id) = (submission.route().cloned(), submission.record_id().cloned());
        // The task is detached. Its own timeout ends it.
        drop(runtime.spawn(async move {
            let second = &permit.second;
            let observation = second.observation(&own, timeout).await;
            count!("human_check_comparisons_total", "first" => outcome_label(&first), "second" => outcome_label(&observation));
            second.sink.record(Comparison {
                at,
                route,
                id,
                observations: vec![first, observation],
            });
        }));
    }
}

impl<B: HumanCheck, S> Second<B, S> {
    /// Calls the second check, if `own` has a token for it.
    async fn observation(&self, own: &Submission, timeout: Duration) -> Observation {
        let addressed_to = own.addressed_to(self.check.providers());
        if !own.has_token_for_any(self.check.providers()) {
            return Observation::without_call(addressed_to);
        }
        let start = Instant::now();
        let failed = |kind, reason| Err(CheckError::new(kind, addressed_to, reason));
        let outcome = match tokio::time::timeout(
            timeout,
            caught(async { self.check.check(own).await }),
        )
        .await
        {
            Ok(Some(outcome)) => outcome,
            Ok(None) => {
                tracing::error!(
                    target: "human_check",
                    provider = addressed_to.name(),
                    "the second check panicked"
                );
                failed(ErrorKind::Protocol, "panicked")
            }
            Err(_) => failed(ErrorKind::Unavailable, "timeout"),
        };
        Observation::of(addressed_to, &outcome, start.elapsed())
    }
}

impl<B, S: ComparisonSink> Second<B, S> {
    /// Counts and logs a comparison that was not made. The log says once that it began, and once that
    /// half of the places are free again.
    fn lost(&self, reason: &'static str) {
        count!("human_check_comparisons_dropped_total", "reason" => reason);
        self.sink.lost(reason);
        if !self.losing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "human_check",
                reason,
                "comparisons are lost"
            );
        }
    }
}

/// Returns the output of a future. `None` if it panicked, so that a comparison says so instead of
/// disappearing.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// Counts one comparison as in flight until it is dropped, also by a panic.
struct Permit<B, S> {
    second: Arc<Second<B, S>>,
    max_in_flight: usize,
}

impl<B, S> Permit<B, S> {
    /// Returns `None` if the limit is reached.
    fn take(second: &Arc<Second<B, S>>, max_in_flight: usize) -> Option<Self> {
        let taken = second.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Self {
            second: Arc::clone(second),
            max_in_flight,
        };
        (taken < max_in_flight).then_some(permit)
    }
}

impl<B, S> Drop for Permit<B, S> {
    fn drop(&mut self) {
        let second = &self.second;
        let left = second.in_flight.fetch_sub(1, Ordering::Relaxed) - 1;
        // Not at the next comparison: under a steady load, every other one is lost.
        if left <= self.max_in_flight / 2 && second.losing.swap(false, Ordering::Relaxed) {
            tracing::info!(target: "human_check", "comparisons are made again");
        }
    }
}

/// Returns the value of a metric label: the outcome without its reason.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only counted"))]
fn outcome_label(observation: &Observation) -> &'static str {
    match observation.outcome {
        ObservedOutcome::Failed(..) => "failed",
        ObservedOutcome::Human => "human",
        ObservedOutcome::NoToken => "no-token",
        ObservedOutcome::NotHuman(_) => "not-human",
    }
}

#[async_trait]
impl<A: HumanCheck, B: HumanCheck, S: ComparisonSink> HumanCheck for Shadow<A, B, S> {
    /// Returns the providers of both checks, because the tokens for the second check must arrive,
    /// too.
    fn providers(&self) -> &[Provider] {
        &self.providers
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let start = Instant::now();
        let outcome = self.check.check(submission).await;
        // A submission without a valid token is refused without a call, so there is nothing to
        // compare.
        let was_called = submission.precheck(self.check.providers()).is_ok();
        if was_called && fraction() < self.share {
            let addressed_to = submission.addressed_to(self.check.providers());
            let first = Observation::of(addressed_to, &outcome, start.elapsed());
            self.compare(submission, first);
        }
        outcome
    }

    async fn probe_health(&self) -> Health {
        self.check.probe_health().await
    }
}
