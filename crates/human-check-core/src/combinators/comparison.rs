use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{CheckError, Provider, Verdict};

/// What several providers reported about the same visitor.
///
/// A `Shadow` makes one for each visitor that it compares. It contains no token, no secret, no
/// address, and no text that a provider sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// When the comparison was made.
    pub at: SystemTime,
    /// The label of the route, if the check is that of a guard.
    pub route: Option<Arc<str>>,
    /// The id that the application gave, from
    /// [`Submission::with_record_id`](crate::Submission::with_record_id).
    pub id: Option<Arc<str>>,
    /// One observation for each provider. In a shadow the first one is that of the check that
    /// decided.
    pub observations: Vec<Observation>,
}

/// What one provider reported about a visitor.
///
/// ```
/// use human_check_core::{Facts, Observation, ObservedOutcome, Provider, Verdict};
/// use std::time::Duration;
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let result = Ok(Verdict::Human(Facts::new(&ACME)));
/// let observation = Observation::of(&ACME, &result, Duration::from_millis(80));
/// assert_eq!(observation.outcome, ObservedOutcome::Human);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The name of the provider.
    pub provider: String,
    /// The verdict or the error.
    pub outcome: ObservedOutcome,
    /// How human the visitor looked: 0 is a machine, 1 a human. `None` if no score was reported.
    pub score: Option<f64>,
    /// How long the check took. `None` if it was not called.
    pub latency: Option<Duration>,
}

/// The outcome of a check, in a form that can be counted and stored.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ObservedOutcome {
    /// The check could not reach a verdict: the name of the [`ErrorKind`](crate::ErrorKind), and
    /// the reason.
    Failed(String, String),
    /// The visitor passed.
    Human,
    /// The visitor sent no token for this provider, so it was not called.
    NoToken,
    /// The visitor did not pass: the name of the [`Reason`](crate::Reason).
    NotHuman(String),
}

impl Observation {
    /// Creates an observation from the result of a check that took `latency`.
    ///
    /// The observation names the provider that the result names, and `provider` if the result names
    /// none.
    pub fn of(
        provider: &Provider,
        outcome: &Result<Verdict, CheckError>,
        latency: Duration,
    ) -> Self {
        let (facts, named) = match outcome {
            Ok(Verdict::Human(facts)) => (Some(facts), Some(&facts.provider)),
            Ok(Verdict::NotHuman(refusal)) => (refusal.facts(), refusal.provider()),
            Err(error) => (None, Some(error.provider())),
        };
        let named = named.unwrap_or(provider);
        Self {
            provider: named.name().to_owned(),
            outcome: match outcome {
                Ok(Verdict::Human(_)) => ObservedOutcome::Human,
                Ok(Verdict::NotHuman(refusal)) => {
                    ObservedOutcome::NotHuman(refusal.reason().as_str().to_owned())
                }
                Err(error) => ObservedOutcome::Failed(
                    error.kind().as_str().to_owned(),
                    error.reason().to_owned(),
                ),
            },
            score: facts
                .and_then(|facts| facts.score)
                .map(|score| score.human()),
            latency: Some(latency),
        }
    }

    /// Creates the observation of a provider that was not called, because no token arrived for it.
    pub fn without_call(provider: &Provider) -> Self {
        Self {
            provider: provider.name().to_owned(),
            outcome: ObservedOutcome::NoToken,
            score: None,
            latency: None,
        }
    }
}

/// A receiver of comparisons, such as a file or a metric.
///
/// ```
/// use human_check_core::{Comparison, ComparisonSink};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Counts how often two providers agree.
/// #[derive(Debug, Default)]
/// struct Agreements(AtomicU64);
///
/// impl ComparisonSink for Agreements {
///     fn record(&self, comparison: Comparison) {
///         if let [first, second] = &comparison.observations[..]
///             && first.outcome == second.outcome
///         {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
///
///     fn lost(&self, reason: &'static str) {
///         println!("a comparison was lost: {reason}");
///     }
/// }
/// ```
pub trait ComparisonSink: Debug + Send + Sync + 'static {
    /// Receives one comparison.
    ///
    /// It must not block and must not panic, because it runs in the program that serves visitors.
    /// An implementation that cannot keep up drops comparisons and counts them.
    fn record(&self, comparison: Comparison);

    /// Receives that one comparison could not be made, and why: `in-flight` (too many others at once)
    /// or `no-runtime`.
    ///
    /// Comparisons are lost in busy hours, so what is left does not represent all visitors. An
    /// implementation passes the number on to the readers of the comparisons. It must not block and
    /// must not panic.
    fn lost(&self, reason: &'static str);
}

impl<S: ComparisonSink + ?Sized> ComparisonSink for Arc<S> {
    fn record(&self, comparison: Comparison) {
        (**self).record(comparison);
    }

    fn lost(&self, reason: &'static str) {
        (**self).lost(reason);
    }
}
