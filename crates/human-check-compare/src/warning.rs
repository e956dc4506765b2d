use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::time_range::TimeRange;
use crate::{Agreement, ProviderStatistics};

/// Fewer pairs than this say little: intervals for large samples do not hold.
const FEW: u64 = 30;

/// Something that limits what the numbers say.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "warning")]
#[non_exhaustive]
pub enum Warning {
    /// Fewer than 30 visitors were judged by both.
    FewPairs {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// How many there are.
        pairs: u64,
    },
    /// Fewer than two providers: nothing can be compared.
    NothingToCompare {
        /// How many there are.
        providers: usize,
    },
    /// One said the same of everybody whom both judged, so kappa is undefined.
    OneSided {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// The providers were asked at different times.
    MixedTimes {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A provider gave no scores.
    NoScores {
        /// Who.
        provider: String,
    },
    /// A provider judged nobody.
    NoVerdicts {
        /// Who.
        provider: String,
    },
    /// More providers than are counted.
    TooManyProviders {
        /// How many observations were left out.
        observations: u64,
    },
    /// The providers judged different numbers of visitors.
    UnequalSamples {
        /// Who judged the fewest.
        fewest: String,
        /// How many.
        least: u64,
        /// Who judged the most.
        most: String,
        /// How many.
        greatest: u64,
    },
}

impl Warning {
    pub(crate) fn all(
        records: u64,
        providers: &[ProviderStatistics],
        pairs: &[Agreement],
        ranges: &[Option<TimeRange>],
        beyond: u64,
    ) -> Vec<Self> {
        let mut all = Vec::new();
        if records == 0 || providers.len() < 2 {
            all.push(Self::NothingToCompare {
                providers: providers.len(),
            });
        }
        if beyond > 0 {
            all.push(Self::TooManyProviders {
                observations: beyond,
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
            if count < FEW {
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

/// Whether the time that both were asked in is nine tenths of the whole, or nearly.
fn share_their_time(a: &TimeRange, b: &TimeRange) -> bool {
    let length = |from, until: std::time::SystemTime| until.duration_since(from).ok();
    let whole = length(a.from.min(b.from), a.until.max(b.until)).unwrap_or_default();
    // Records a minute apart are of one time, however short the whole.
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
                "only {pairs} visitors were judged by both {first} and {second}; under {FEW}, agreement and intervals say little"
            ),
            Self::NothingToCompare { providers } => write!(
                f,
                "there are {providers} providers in the records; it takes two to compare"
            ),
            Self::OneSided { first, second } => write!(
                f,
                "{first} or {second} said the same of everybody whom both judged; agreement cannot be told from chance, and kappa is undefined"
            ),
            Self::MixedTimes { first, second } => write!(
                f,
                "{first} and {second} were asked at different times; their visitors may differ"
            ),
            Self::NoScores { provider } => {
                write!(f, "{provider} gave no scores; only its verdicts compare")
            }
            Self::NoVerdicts { provider } => {
                write!(f, "{provider} judged nobody; nothing is known about it")
            }
            Self::TooManyProviders { observations } => write!(
                f,
                "too many providers; {observations} observations of further ones are left out"
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
