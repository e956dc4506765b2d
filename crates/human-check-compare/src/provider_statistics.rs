use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Latency, Proportion, ScoreHistogram};

/// What records say about one provider.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProviderStatistics {
    /// Who.
    pub provider: String,
    /// How many records mention it.
    pub records: u64,
    /// How many visitors passed.
    pub human: u64,
    /// How many did not, by reason.
    pub not_human: BTreeMap<String, u64>,
    /// How often nobody could tell, by kind and then by reason.
    pub failed: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many visitors sent nothing for it.
    pub no_token: u64,
    /// How many of those it judged passed. `None` where it judged nobody.
    pub pass_rate: Option<Proportion>,
    /// Its scores. `None` where it gave none.
    pub scores: Option<ScoreHistogram>,
    /// How long it took. `None` where that is not known.
    pub latency: Option<Latency>,
    /// When it was first asked.
    pub from: Option<String>,
    /// When it was last asked.
    pub until: Option<String>,
}

impl ProviderStatistics {
    /// How many visitors it refused.
    pub fn refused(&self) -> u64 {
        self.not_human.values().sum()
    }

    /// How many visitors it judged.
    pub fn verdicts(&self) -> u64 {
        self.human + self.refused()
    }

    /// How often nobody could tell.
    pub fn failures(&self) -> u64 {
        self.failed.values().flat_map(BTreeMap::values).sum()
    }

    /// How many visitors it was asked about.
    pub fn asked(&self) -> u64 {
        self.verdicts() + self.failures()
    }
}
