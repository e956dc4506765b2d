use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::time_range::TimeRange;
use crate::{Agreement, ProviderStatistics};

/// The minimum number of visitors that both providers judged. Below it, the intervals, which are
/// for large samples, do not hold.
const MIN_PAIRS: u64 = 30;

/// A limit of what the numbers of [`Statistics`](crate::Statistics) mean.
///
/// It prints as a sentence for the operator. docs/how-to/comparing-providers.md#read-the-report
/// says what to do about each.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "warning")]
#[non_exhaustive]
pub enum Warning {
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
    /// The providers judged different numbers of visitors.
    UnequalSamples {
        /// The name of the provider that judged the fewest visitors.
        fewest: String,
        /// How many visitors it judged.
        least: u64,
        /// The name of the provider that judged the most visitors.
        most: String,
        /// How many visitors it judged.
        greatest: u64,
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
        let by_verdicts = |p: &&ProviderStatistics| p.verdicts();
        let fewest = providers.iter().min_by_key(by_verdicts);
        let most = providers.iter().max_by_key(by_verdicts);
        if let (Some(fewest), Some(most)) = (fewest, most)
            && fewest.verdicts() != most.verdicts()
        {
            all.push(Self::UnequalSamples {
                fewest: fewest.provider.clone(),
                least: fewest.verdicts(),
                most: most.provider.clone(),
                greatest: most.verdicts(),
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
                all.push(Self::OneSided { first, second });
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
            Self::UnequalSamples {
                fewest,
                least,
                most,
                greatest,
            } => write!(
                f,
                "{fewest} judged {least} visitors and {most} {greatest}; pass rates, scores and latencies are of different visitors"
            ),
        }
    }
}
