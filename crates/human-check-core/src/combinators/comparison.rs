use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use crate::{CheckError, Provider, Verdict};

/// What several providers said about the same visitor.
///
/// Holds no token, no secret, no address and no text of a provider's.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// When it was made.
    pub at: SystemTime,
    /// One per provider. Under live traffic the first is the one that decided.
    pub observations: Vec<Observation>,
}

/// What one of them said.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Who.
    pub provider: String,
    /// What.
    pub outcome: ObservedOutcome,
    /// How human the visitor looked, on the common scale where 1 is human.
    pub score: Option<f64>,
    /// How long it took. `None` where nobody was asked.
    pub latency: Option<Duration>,
}

/// What a provider said, in words that can be counted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ObservedOutcome {
    /// Nobody has spoken. A short name of [`ErrorKind`](crate::ErrorKind) and one of the reason.
    Failed(String, String),
    /// The visitor passed.
    Human,
    /// The visitor sent no answer for this provider, so it was not asked.
    NoToken,
    /// The visitor did not pass. A short name of the [`Reason`](crate::Reason).
    NotHuman(String),
}

impl Observation {
    /// What came of asking `provider`.
    pub fn of(
        provider: &Provider,
        outcome: &Result<Verdict, CheckError>,
        latency: Duration,
    ) -> Self {
        let (facts, judge) = match outcome {
            Ok(Verdict::Human(facts)) => (Some(facts), Some(&facts.provider)),
            Ok(Verdict::NotHuman(refusal)) => (refusal.facts(), refusal.provider()),
            Err(error) => (None, Some(error.provider())),
        };
        let judge = judge.unwrap_or(provider);
        Self {
            provider: judge.name().to_owned(),
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

    /// `provider` was not asked, since nothing arrived for it.
    pub fn without_call(provider: &Provider) -> Self {
        Self {
            provider: provider.name().to_owned(),
            outcome: ObservedOutcome::NoToken,
            score: None,
            latency: None,
        }
    }
}

/// Takes comparisons, for a file or a metric.
pub trait ComparisonSink: Debug + Send + Sync + 'static {
    /// Takes one. Must not block and must not panic: it is called beside live traffic. What it has
    /// no room for it drops and counts.
    fn record(&self, comparison: Comparison);
}

impl<S: ComparisonSink + ?Sized> ComparisonSink for std::sync::Arc<S> {
    fn record(&self, comparison: Comparison) {
        (**self).record(comparison);
    }
}
