use std::collections::BTreeMap;
use std::time::SystemTime;

use human_check_core::{Observation, ObservedOutcome};
use jiff::Timestamp;

use super::days::{Days, ProviderDay};
use super::time_range::TimeRange;
use super::{Agreement, ContingencyTable, ProviderStatistics, ScoreHistogram, Statistics, Warning};
use crate::latency::Latencies;
use crate::reason::proves_nothing;
use crate::{Input, Line, Lost, Proportion, Record};

/// The maximum number of providers. It bounds the memory for a file that holds no comparisons,
/// since there is a table for each two providers.
const MAX_PROVIDERS: usize = 32;

/// The maximum number of different reasons or kinds of one outcome. It bounds the memory, too.
const MAX_NAMES: usize = 64;

/// A counter of records, for files that do not fit into memory.
///
/// It keeps no record. Its memory grows by one latency, four bytes, for each observation.
///
/// ```
/// use human_check_compare::{RecordReader, Tally};
///
/// # fn main() -> std::io::Result<()> {
/// let file = br#"{"at":"2026-11-24T18:00:00Z","observations":[{"provider":"acme","outcome":"human"}]}"#;
/// let mut reader = RecordReader::new(&file[..]);
/// let mut tally = Tally::new();
/// while let Some((number, line)) = reader.read()? {
///     match line {
///         Ok(line) => tally.add_line(&line),
///         Err(error) => eprintln!("{number}: {error}"),
///     }
/// }
/// assert_eq!(tally.statistics().providers[0].human, 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Tally {
    records: u64,
    range: Option<TimeRange>,
    providers: Vec<Counted>,
    /// The tables of each two providers, by their places in `providers`, the smaller first.
    tables: BTreeMap<(usize, usize), ContingencyTable>,
    /// How many observations were left out, because there were too many providers.
    left_out: u64,
    days: Days,
}

/// The counts of one provider.
#[derive(Debug)]
struct Counted {
    provider: String,
    records: u64,
    human: u64,
    not_human: BTreeMap<String, u64>,
    unusable: BTreeMap<String, u64>,
    failed: BTreeMap<String, BTreeMap<String, u64>>,
    circuit_open: u64,
    no_token: u64,
    scores: ScoreHistogram,
    latencies: Latencies,
    failure_latencies: Latencies,
    range: Option<TimeRange>,
}

impl Tally {
    /// Creates a tally without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one line of a file. Lines of an experiment count nothing here.
    pub fn add_line(&mut self, line: &Line) {
        match line {
            Line::Comparison(record) => self.add(record),
            Line::Lost(lost) => self.add_lost(lost),
            Line::Begun(_) | Line::Event(_) | Line::Header(_) => {}
        }
    }

    /// Counts one record.
    ///
    /// Observations of more than 32 providers are left out, which becomes a [`Warning`].
    pub fn add(&mut self, record: &Record) {
        let comparison = &record.comparison;
        self.records += 1;
        self.range = Some(TimeRange::with(self.range, comparison.at));
        let mut verdicts = Vec::with_capacity(comparison.observations.len());
        for observation in &comparison.observations {
            let Some(place) = self.place(&observation.provider) else {
                self.left_out += 1;
                continue;
            };
            self.providers[place].count(observation, comparison.at);
            let mut beyond_all_days = ProviderDay::default();
            let day = match self.days.of(comparison.at) {
                Some(day) => day.provider(place),
                None => &mut beyond_all_days,
            };
            match &observation.outcome {
                ObservedOutcome::Human => {
                    day.human += 1;
                    verdicts.push((place, true));
                }
                ObservedOutcome::NotHuman(reason) if proves_nothing(reason) => {}
                ObservedOutcome::NotHuman(_) => {
                    day.refused += 1;
                    verdicts.push((place, false));
                }
                ObservedOutcome::Failed(..) => day.failed += 1,
                ObservedOutcome::NoToken => {}
            }
        }
        verdicts.sort_unstable();
        // Two observations of one provider would be a pair with itself.
        verdicts.dedup_by_key(|(place, _)| *place);
        for (nth, (first, passed)) in verdicts.iter().enumerate() {
            for (second, also) in &verdicts[nth + 1..] {
                let table = self.tables.entry((*first, *second)).or_default();
                table.count(*passed, *also);
                if let Some(day) = self.days.of(comparison.at) {
                    let table = day.tables.entry((*first, *second)).or_default();
                    table.count(*passed, *also);
                }
            }
        }
        if let Some(day) = self.days.of(comparison.at) {
            day.records += 1;
        }
    }

    /// Counts lost comparisons, for the day on which they were lost.
    pub fn add_lost(&mut self, lost: &Lost) {
        if let Some(day) = self.days.of(lost.at) {
            day.lost = day.lost.saturating_add(lost.total());
        }
    }

    /// Returns the statistics of all counted records, without a word on the files that they came from.
    pub fn statistics(self) -> Statistics {
        self.statistics_of(Input::default())
    }

    /// Returns the statistics of all counted records, with what an [`InputWatch`](crate::InputWatch)
    /// saw of their files.
    pub fn statistics_of(self, input: Input) -> Statistics {
        let names: Vec<_> = self.providers.iter().map(|c| c.provider.clone()).collect();
        let (mut pairs, mut places) = (Vec::new(), Vec::new());
        for first in 0..names.len() {
            for second in first + 1..names.len() {
                let table = self.tables.get(&(first, second)).copied();
                let table = table.unwrap_or_default();
                places.push((first, second));
                pairs.push(Agreement::new(
                    names[first].clone(),
                    names[second].clone(),
                    table,
                    self.records - table.pairs(),
                ));
            }
        }
        let ranges: Vec<_> = self.providers.iter().map(|c| c.range).collect();
        let providers: Vec<_> = self
            .providers
            .into_iter()
            .map(Counted::statistics)
            .collect();
        let days = self.days.all(providers.len(), &places);
        let mut warnings = Warning::about_input(&input, self.records);
        warnings.extend(Warning::all(
            self.records,
            &providers,
            &pairs,
            &ranges,
            self.left_out,
        ));
        warnings.extend(Warning::about_days(&days, &providers, &pairs));
        Statistics {
            warnings,
            records: self.records,
            from: self.range.map(|range| text(range.from)),
            until: self.range.map(|range| text(range.until)),
            providers,
            pairs,
            days,
            input,
        }
    }

    /// Returns the place of a provider in `providers`, or `None` if there are too many.
    fn place(&mut self, provider: &str) -> Option<usize> {
        let known = self.providers.iter().position(|c| c.provider == provider);
        if known.is_some() || self.providers.len() == MAX_PROVIDERS {
            return known;
        }
        self.providers.push(Counted {
            provider: provider.to_owned(),
            records: 0,
            human: 0,
            not_human: BTreeMap::new(),
            unusable: BTreeMap::new(),
            failed: BTreeMap::new(),
            circuit_open: 0,
            no_token: 0,
            scores: ScoreHistogram::new(),
            latencies: Latencies::default(),
            failure_latencies: Latencies::default(),
            range: None,
        });
        Some(self.providers.len() - 1)
    }
}

impl Counted {
    /// Counts one observation of the provider.
    fn count(&mut self, observation: &Observation, at: SystemTime) {
        self.records += 1;
        match &observation.outcome {
            ObservedOutcome::Failed(kind, reason) => {
                if reason == "circuit-open" {
                    self.circuit_open += 1;
                }
                let reasons = self.failed.entry(known(&self.failed, kind)).or_default();
                *reasons.entry(known(reasons, reason)).or_default() += 1;
            }
            ObservedOutcome::Human => self.human += 1,
            ObservedOutcome::NoToken => self.no_token += 1,
            ObservedOutcome::NotHuman(reason) => {
                let reasons = match proves_nothing(reason) {
                    true => &mut self.unusable,
                    false => &mut self.not_human,
                };
                *reasons.entry(known(reasons, reason)).or_default() += 1;
            }
        }
        if observation.outcome != ObservedOutcome::NoToken {
            self.range = Some(TimeRange::with(self.range, at));
        }
        if let Some(score) = observation.score {
            self.scores.count(score);
        }
        if let Some(latency) = observation.latency {
            match &observation.outcome {
                ObservedOutcome::Failed(_, reason) if reason == "circuit-open" => {}
                ObservedOutcome::Failed(..) => self.failure_latencies.add(latency),
                _ => self.latencies.add(latency),
            }
        }
    }

    /// Returns the statistics of the provider.
    fn statistics(self) -> ProviderStatistics {
        let refused: u64 = self.not_human.values().sum();
        ProviderStatistics {
            provider: self.provider,
            records: self.records,
            human: self.human,
            pass_rate: Proportion::new(self.human, self.human + refused),
            not_human: self.not_human,
            unusable: self.unusable,
            failed: self.failed,
            circuit_open: self.circuit_open,
            no_token: self.no_token,
            scores: (self.scores.total() > 0).then_some(self.scores),
            latency: self.latencies.summary(),
            failure_latency: self.failure_latencies.summary(),
            from: self.range.map(|range| text(range.from)),
            until: self.range.map(|range| text(range.until)),
        }
    }
}

/// Returns the name, or `other` if there are too many different names already.
fn known<V>(names: &BTreeMap<String, V>, name: &str) -> String {
    if names.len() < MAX_NAMES || names.contains_key(name) {
        name.to_owned()
    } else {
        "other".to_owned()
    }
}

/// Returns a time as RFC 3339.
fn text(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.to_string())
}

impl Statistics {
    /// Computes the statistics of records in memory. For records that are read one by one, use a
    /// [`Tally`].
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut tally = Tally::new();
        records.into_iter().for_each(|record| tally.add(record));
        tally.statistics()
    }
}
