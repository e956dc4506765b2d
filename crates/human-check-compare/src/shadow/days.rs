use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::ContingencyTable;
use crate::day::{day_name, day_number};

/// The maximum number of days. Records of further ones count in the totals only.
const MAX_DAYS: usize = 400;

/// What happened on one day, in UTC.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Day {
    /// The day, such as `2026-11-24`.
    pub day: String,
    /// How many records there are.
    pub records: u64,
    /// How many comparisons were lost.
    pub lost: u64,
    /// What each provider did, in the order of [`Statistics::providers`](crate::Statistics::providers).
    pub providers: Vec<ProviderDay>,
    /// The tables of each two providers, in the order of
    /// [`Statistics::pairs`](crate::Statistics::pairs).
    pub tables: Vec<ContingencyTable>,
}

/// What one provider did on one day.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProviderDay {
    /// How many visitors it judged to be human.
    pub human: u64,
    /// How many visitors it refused.
    pub refused: u64,
    /// How many checks could not reach a verdict.
    pub failed: u64,
}

impl ProviderDay {
    /// Returns how many times it was called and said something about a visitor, or failed.
    pub(super) fn calls(&self) -> u64 {
        self.human + self.refused + self.failed
    }
}

/// The days of a set of records, while they are counted.
#[derive(Debug, Default)]
pub(super) struct Days(BTreeMap<u32, DayCount>);

/// The counts of one day, by the places of the providers.
#[derive(Debug, Default)]
pub(super) struct DayCount {
    pub(super) records: u64,
    pub(super) lost: u64,
    pub(super) providers: Vec<ProviderDay>,
    pub(super) tables: BTreeMap<(usize, usize), ContingencyTable>,
}

impl Days {
    /// Returns the counts of the day that `at` is in. `None` beyond 400 days.
    pub(super) fn of(&mut self, at: SystemTime) -> Option<&mut DayCount> {
        let day = day_number(at);
        if self.0.len() == MAX_DAYS && !self.0.contains_key(&day) {
            return None;
        }
        Some(self.0.entry(day).or_default())
    }

    /// Returns the days in order.
    pub(super) fn all(self, providers: usize, pairs: &[(usize, usize)]) -> Vec<Day> {
        let days = self.0.into_iter().map(|(day, mut count)| {
            count.providers.resize(providers, ProviderDay::default());
            let table = |pair| count.tables.get(pair).copied().unwrap_or_default();
            Day {
                day: day_name(day),
                records: count.records,
                lost: count.lost,
                tables: pairs.iter().map(table).collect(),
                providers: count.providers,
            }
        });
        days.collect()
    }
}

impl DayCount {
    /// Returns the counts of the provider at a place.
    pub(super) fn provider(&mut self, place: usize) -> &mut ProviderDay {
        if self.providers.len() <= place {
            self.providers.resize(place + 1, ProviderDay::default());
        }
        &mut self.providers[place]
    }
}
