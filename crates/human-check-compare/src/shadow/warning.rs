use std::fmt;
use std::time::Duration;

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::time_range::TimeRange;
use super::{Agreement, Day, ProviderStatistics};
use crate::Input;
use crate::estimate::Count;
use crate::interval::float;

/// The minimum number of visitors that both providers judged. Below it, the intervals, which are
/// for large samples, do not hold.
const MIN_PAIRS: u64 = 30;

/// The share of records that may be excluded without a warning.
const MAX_EXCLUDED: f64 = 0.02;

/// The share of calls of a day that may fail without a warning, and how many must fail for one.
const MAX_FAILED: f64 = 0.05;
const MIN_FAILED: u64 = 5;

/// The number of visitors of a day below which it is not compared with others.
const MIN_DAY: u64 = 100;

/// How improbable differences of days must be if there are none.
const DRIFT: f64 = 0.001;

/// A limit of what the numbers of [`Statistics`](crate::Statistics) mean.
///
/// It prints as a sentence for the operator. docs/how-to/comparing-providers.md#read-the-report
/// says what to do about each.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "warning")]
#[non_exhaustive]
pub enum Warning {
    /// The pass rate of a provider, or the difference of two, was not the same on all days, more than
    /// chance explains (p below 0.001).
    Drift {
        /// The name of the provider, or of two with ` / ` between them.
        of: String,
        /// The day with the lowest share.
        lowest_day: String,
        /// The share or the difference on that day, in percentage points.
        lowest: f64,
        /// The day with the highest share.
        highest_day: String,
        /// The share or the difference on that day, in percentage points.
        highest: f64,
    },
    /// Visitors are missing in the comparison of two providers, because one of them did not judge
    /// them.
    Excluded {
        /// The name of the first provider.
        first: String,
        /// The name of the second provider.
        second: String,
        /// How many records are excluded.
        excluded: u64,
        /// How many records there are.
        records: u64,
    },
    /// Both providers judged fewer than 30 visitors.
    FewPairs {
        /// The name of the first provider.
        first: String,
        /// The name of the second provider.
        second: String,
        /// How many visitors both judged.
        pairs: u64,
    },
    /// The records hold fewer than two providers, so there is nothing to compare.
    NothingToCompare {
        /// How many providers the records hold.
        providers: usize,
    },
    /// One of the providers gave the same verdict for every visitor that both judged, so kappa is
    /// undefined.
    OneSided {
        /// The name of the first provider.
        first: String,
        /// The name of the second provider.
        second: String,
    },
    /// The providers were called at different times: less than nine tenths of the time is common to
    /// both.
    MixedTimes {
        /// The name of the first provider.
        first: String,
        /// The name of the second provider.
        second: String,
    },
    /// Records are missing, because they could not be made or written.
    Lost {
        /// How many.
        lost: u64,
        /// How many there are.
        records: u64,
    },
    /// A clock went back while the files were written, or records are dated in the future.
    OddClock {
        /// How many times a clock went back by more than two minutes.
        went_back: u64,
        /// How many records are dated in the future.
        in_the_future: u64,
    },
    /// A provider could not reach a verdict for many visitors of a day.
    Outage {
        /// The name of the provider.
        provider: String,
        /// The day.
        day: String,
        /// How many calls failed.
        failed: u64,
        /// How many calls there were.
        calls: u64,
    },
    /// Files that hold the same records as another file were left out.
    RepeatedFiles {
        /// Their names.
        files: Vec<String>,
    },
    /// The settings changed between the first and the last record.
    SettingsChanged {
        /// When, RFC 3339.
        at: Vec<String>,
    },
    /// Lines could not be read, and are left out.
    Unreadable {
        /// How many.
        lines: u64,
        /// The files and lines of the first of them.
        first: Vec<String>,
    },
    /// A provider reported no scores.
    NoScores {
        /// The name of the provider.
        provider: String,
    },
    /// A provider returned no verdict.
    NoVerdicts {
        /// The name of the provider.
        provider: String,
    },
    /// The records hold more than 32 providers. Further ones are not counted.
    TooManyProviders {
        /// How many observations of further providers were left out.
        observations: u64,
    },
}

impl Warning {
    /// Returns the warnings about these statistics. `ranges` has the times of each provider, and
    /// `left_out` is the number of observations of further providers.
    pub(crate) fn all(
        records: u64,
        providers: &[ProviderStatistics],
        pairs: &[Agreement],
        ranges: &[Option<TimeRange>],
        left_out: u64,
    ) -> Vec<Self> {
        let mut all = Vec::new();
        if records == 0 || providers.len() < 2 {
            all.push(Self::NothingToCompare {
                providers: providers.len(),
            });
        }
        if left_out > 0 {
            all.push(Self::TooManyProviders {
                observations: left_out,
            });
        }
        for pair in pairs {
            let (first, second) = (pair.first.clone(), pair.second.clone());
            let count = pair.table.pairs();
            if count < MIN_PAIRS {
                all.push(Self::FewPairs {
                    first: first.clone(),
                    second: second.clone(),
                    pairs: count,
                });
            }
            if count > 0 && pair.table.is_one_sided() {
                all.push(Self::OneSided {
                    first: first.clone(),
                    second: second.clone(),
                });
            }
            if count > 0 && float(pair.excluded) > MAX_EXCLUDED * float(records) {
                all.push(Self::Excluded {
                    first,
                    second,
                    excluded: pair.excluded,
                    records,
                });
            }
        }
        for (nth, first) in ranges.iter().enumerate() {
            for (other, second) in ranges.iter().enumerate().skip(nth + 1) {
                if let (Some(a), Some(b)) = (first, second)
                    && !share_their_time(a, b)
                {
                    all.push(Self::MixedTimes {
                        first: providers[nth].provider.clone(),
                        second: providers[other].provider.clone(),
                    });
                }
            }
        }
        for provider in providers {
            let name = provider.provider.clone();
            if provider.verdicts() == 0 {
                all.push(Self::NoVerdicts { provider: name });
            } else if provider.scores.is_none() {
                all.push(Self::NoScores { provider: name });
            }
        }
        all
    }
}

impl Warning {
    /// Returns the warnings about the files.
    pub(crate) fn about_input(input: &Input, records: u64) -> Vec<Self> {
        let mut all = Vec::new();
        if !input.repeated_files.is_empty() {
            all.push(Self::RepeatedFiles {
                files: input.repeated_files.clone(),
            });
        }
        if input.unreadable > 0 {
            all.push(Self::Unreadable {
                lines: input.unreadable,
                first: input.first_unreadable.clone(),
            });
        }
        if input.lost_total() > 0 {
            all.push(Self::Lost {
                lost: input.lost_total(),
                records,
            });
        }
        if input.clock_went_back + input.in_the_future > 0 {
            all.push(Self::OddClock {
                went_back: input.clock_went_back,
                in_the_future: input.in_the_future,
            });
        }
        if !input.config_changes.is_empty() {
            all.push(Self::SettingsChanged {
                at: input.config_changes.clone(),
            });
        }
        all
    }

    /// Returns the warnings about single days.
    pub(super) fn about_days(
        days: &[Day],
        providers: &[ProviderStatistics],
        pairs: &[Agreement],
    ) -> Vec<Self> {
        let mut all = Vec::new();
        for (place, provider) in providers.iter().enumerate() {
            for day in days {
                let (failed, calls) = (day.providers[place].failed, day.providers[place].calls());
                if failed >= MIN_FAILED && float(failed) > MAX_FAILED * float(calls) {
                    all.push(Self::Outage {
                        provider: provider.provider.clone(),
                        day: day.day.clone(),
                        failed,
                        calls,
                    });
                }
            }
            let shares = days.iter().filter_map(|day| {
                let counts = day.providers[place];
                let share = Count::new(counts.human, counts.human + counts.refused);
                Some((day, share.share()?, share.smoothed_variance(), share.of))
            });
            all.extend(drift(&provider.provider, shares));
        }
        for (place, pair) in pairs.iter().enumerate() {
            let differences = days.iter().filter_map(|day| {
                let table = day.tables[place];
                let (n, first, second) = (table.pairs(), table.first_only, table.second_only);
                let difference = (float(first) - float(second)) / float(n);
                // Half a visitor more on each side, so that no day is certain.
                let variance =
                    (float(first + second + 1) / float(n) - difference.powi(2)) / float(n);
                (n > 0).then_some((day, difference, variance, n))
            });
            all.extend(drift(
                &format!("{} / {}", pair.first, pair.second),
                differences,
            ));
        }
        all
    }
}

/// Returns a warning if shares or differences of days differ by more than chance explains. Each has its
/// variance and the number of its visitors.
fn drift<'a>(of: &str, days: impl Iterator<Item = (&'a Day, f64, f64, u64)>) -> Option<Warning> {
    let days: Vec<_> = days.filter(|(.., n)| *n >= MIN_DAY).collect();
    let freedom = float(u64::try_from(days.len()).ok()?) - 1.0;
    let weight = |variance: f64| 1.0 / variance.max(f64::MIN_POSITIVE);
    let weights: f64 = days
        .iter()
        .map(|(_, _, variance, _)| weight(*variance))
        .sum();
    let middle = days
        .iter()
        .map(|(_, x, variance, _)| x * weight(*variance))
        .sum::<f64>()
        / weights;
    let apart = days
        .iter()
        .map(|(_, x, variance, _)| (x - middle).powi(2) * weight(*variance))
        .sum();
    let chance = 1.0 - ChiSquared::new(freedom).ok()?.cdf(apart);
    if chance >= DRIFT {
        return None;
    }
    let by_share = |a: &&(&Day, f64, f64, u64), b: &&(&Day, f64, f64, u64)| a.1.total_cmp(&b.1);
    let (lowest, highest) = (days.iter().min_by(by_share)?, days.iter().max_by(by_share)?);
    Some(Warning::Drift {
        of: of.to_owned(),
        lowest_day: lowest.0.day.clone(),
        lowest: lowest.1 * 100.0,
        highest_day: highest.0.day.clone(),
        highest: highest.1 * 100.0,
    })
}

/// Returns whether the time in which both providers were called is nine tenths of the whole, or
/// differs from it by a minute at most.
fn share_their_time(a: &TimeRange, b: &TimeRange) -> bool {
    let length = |from, until: std::time::SystemTime| until.duration_since(from).ok();
    let whole = length(a.from.min(b.from), a.until.max(b.until)).unwrap_or_default();
    // A difference of a minute does not matter, however short the whole is.
    let apart = match length(a.from.max(b.from), a.until.min(b.until)) {
        Some(common) => whole - common,
        None => whole,
    };
    apart <= (whole / 10).max(Duration::from_secs(60))
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewPairs {
                first,
                second,
                pairs,
            } => write!(
                f,
                "only {pairs} visitors were judged by both {first} and {second}; under {MIN_PAIRS}, agreement and intervals say little"
            ),
            Self::NothingToCompare { providers } => write!(
                f,
                "the number of providers in the records is {providers}; a comparison needs two"
            ),
            Self::OneSided { first, second } => write!(
                f,
                "{first} or {second} gave the same verdict for every visitor that both judged; agreement cannot be distinguished from chance, and kappa is undefined"
            ),
            Self::MixedTimes { first, second } => write!(
                f,
                "{first} and {second} were called at different times; their visitors may differ"
            ),
            Self::NoScores { provider } => {
                write!(
                    f,
                    "{provider} reported no scores; only its verdicts can be compared"
                )
            }
            Self::NoVerdicts { provider } => {
                write!(f, "{provider} returned no verdict; it cannot be compared")
            }
            Self::TooManyProviders { observations } => write!(
                f,
                "there are more than 32 providers; {observations} observations of further ones are left out"
            ),
            Self::Drift {
                of,
                lowest_day,
                lowest,
                highest_day,
                highest,
            } => {
                let what = match of.contains(" / ") {
                    true => "the difference of",
                    false => "the share that passed at",
                };
                write!(
                    f,
                    "{what} {of} changed from day to day, more than chance explains: {lowest:.1} % on {lowest_day}, {highest:.1} % on {highest_day}; find out what changed, and do not use the average of all days"
                )
            }
            Self::Excluded {
                first,
                second,
                excluded,
                records,
            } => {
                let share = 100.0 * float(*excluded) / float((*records).max(1));
                let size = match share {
                    share if share < 5.0 => "this matters only if the difference is small",
                    share if share < 20.0 => "a difference smaller than that proves nothing",
                    _ => "the rest does not represent the visitors",
                };
                write!(
                    f,
                    "{share:.1} % of the records ({excluded}) are not in the comparison of {first} and {second}, because one of them did not judge the visitor; if those visitors differ, the difference may be off by up to {share:.1} points: {size}"
                )
            }
            Self::Lost { lost, records } => {
                let share = 100.0 * float(*lost) / float(lost + records);
                let size = match share {
                    share if share < 1.0 => "few",
                    share if share < 10.0 => "mostly of busy hours",
                    _ => "so the rest does not represent the visitors",
                };
                write!(
                    f,
                    "{lost} records are lost, {share:.1} % of all, {size}; raise `max_in_flight`, or `sample` fewer visitors"
                )
            }
            Self::OddClock {
                went_back,
                in_the_future,
            } => write!(
                f,
                "a clock went back {went_back} times by more than two minutes, and {in_the_future} records are dated in the future; days and drift may be wrong"
            ),
            Self::Outage {
                provider,
                day,
                failed,
                calls,
            } => write!(
                f,
                "{provider} could not reach a verdict in {failed} of {calls} calls on {day}; that day may not be like the others"
            ),
            Self::RepeatedFiles { files } => write!(
                f,
                "left out, because another file holds the same records: {}",
                files.join(", ")
            ),
            Self::SettingsChanged { at } => write!(
                f,
                "the settings changed at {}; records before and after cannot be compared",
                at.join(", ")
            ),
            Self::Unreadable { lines, first } => write!(
                f,
                "{lines} lines could not be read and are left out: {}{}",
                first.join(", "),
                if u64::try_from(first.len()).unwrap_or(u64::MAX) < *lines {
                    " …"
                } else {
                    ""
                }
            ),
        }
    }
}
