use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Agreement, Latency, Proportion, Record, ScoreHistogram, Tally, Warning};

/// What records say about the providers in them.
///
/// What the numbers do not carry is in [`warnings`](Self::warnings); read these first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// What limits the rest.
    pub warnings: Vec<Warning>,
    /// How many records.
    pub records: u64,
    /// When the first was made, RFC 3339.
    pub from: Option<String>,
    /// When the last was made.
    pub until: Option<String>,
    /// One for each provider, in the order of first mention.
    pub providers: Vec<ProviderStatistics>,
    /// One for each two of them.
    pub pairs: Vec<Agreement>,
}

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
    pub no_answer: u64,
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

impl Statistics {
    /// Of records that are at hand. Where they are read one by one, count with a [`Tally`].
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut tally = Tally::new();
        records.into_iter().for_each(|record| tally.add(record));
        tally.statistics()
    }
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
