use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Latency, Proportion, ScoreHistogram};

/// The statistics of one provider.
///
/// [`Statistics::providers`](crate::Statistics::providers) has one for each provider.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProviderStatistics {
    /// The name of the provider.
    pub provider: String,
    /// How many records have an observation of this provider.
    pub records: u64,
    /// How many visitors it judged to be human.
    pub human: u64,
    /// How many visitors it refused, by reason. Of each provider up to 64 reasons are counted, and
    /// further ones as `other`. `invalid` includes tokens that a program made up.
    pub not_human: BTreeMap<String, u64>,
    /// How many tokens proved nothing about a visitor, by reason: they were expired, used before, or
    /// malformed. They are no refusals, and are in no share and in no table.
    pub unusable: BTreeMap<String, u64>,
    /// How many checks could not reach a verdict, by kind of error and then by reason. Also with up
    /// to 64 names each.
    pub failed: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many visitors sent no token for it, so that it was not called.
    pub no_token: u64,
    /// The share of human verdicts among all its verdicts. `None` if it returned no verdict. To
    /// compare two providers, use the visitors that both judged:
    /// [`Statistics::pairs`](crate::Statistics::pairs).
    pub pass_rate: Option<Proportion>,
    /// The distribution of its scores. `None` if it reported no score.
    pub scores: Option<ScoreHistogram>,
    /// The distribution of the latencies of its replies. `None` if it sent no reply.
    pub latency: Option<Latency>,
    /// The distribution of the latencies of calls that failed. A call that an open circuit breaker
    /// stopped is not in it.
    pub failure_latency: Option<Latency>,
    /// How many calls an open circuit breaker stopped. They are among the failed ones, too.
    pub circuit_open: u64,
    /// When it was first called, RFC 3339. `None` if it was never called.
    pub from: Option<String>,
    /// When it was last called, RFC 3339. `None` if it was never called.
    pub until: Option<String>,
}

impl ProviderStatistics {
    /// Returns how many visitors it refused.
    pub fn refused(&self) -> u64 {
        self.not_human.values().sum()
    }

    /// Returns how many verdicts it returned, human or not.
    pub fn verdicts(&self) -> u64 {
        self.human + self.refused()
    }

    /// Returns how many checks could not reach a verdict.
    pub fn failures(&self) -> u64 {
        self.failed.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns how many tokens proved nothing about a visitor.
    pub fn unusable_total(&self) -> u64 {
        self.unusable.values().sum()
    }

    /// Returns how many times it was called: verdicts, unusable tokens and failures together.
    pub fn calls(&self) -> u64 {
        self.verdicts() + self.unusable_total() + self.failures()
    }
}
