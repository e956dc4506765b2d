use serde::Serialize;

use crate::ConfidenceInterval;
use crate::estimate::{Stratum, strata_at_any_time, strata_difference};

/// The rule that stops an experiment by itself: the completions of an arm are worse than those of the
/// first arm by more than a margin, whatever one assumes within the interval that holds at any time.
///
/// It may be asked as often as wanted. Without any difference it stops fewer than 2 of 100 experiments,
/// see docs/reference/statistics.md.
///
/// ```
/// use human_check_compare::Guardrail;
/// use human_check_compare::estimate::{Count, Stratum};
///
/// let rule = Guardrail::new(0.0);
/// let worse = Stratum::new(Count::new(1_000, 1_250), Count::new(1_150, 1_250));
/// assert!(rule.broken_by(&[worse]).is_some());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Guardrail {
    margin: f64,
    comparisons: usize,
}

/// The number of visitors of both arms for which the interval is tightest. It is small, so that a bad arm
/// stops within days; the interval of the report is tuned to the planned number instead.
const TUNED_TO: u64 = 2_000;

/// How an arm broke a [`Guardrail`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Breach {
    /// The difference of completions, as a share below 0.
    pub difference: f64,
    /// Its interval, all of which is below the margin.
    pub interval: ConfidenceInterval,
}

impl Guardrail {
    /// Creates the rule that an arm may be worse by `margin`, as a share.
    pub fn new(margin: f64) -> Self {
        Self {
            margin,
            comparisons: 1,
        }
    }

    /// Sets how many arms are compared with the first one, so that all of them together stop falsely as
    /// seldom as one. Default 1.
    #[must_use]
    pub fn with_comparisons(mut self, comparisons: usize) -> Self {
        self.comparisons = comparisons;
        self
    }

    /// Returns how an arm broke the rule. `None` if it has not, or if an arm has fewer than 100
    /// visitors. Each stratum has the arm first, and then the first arm of the experiment.
    pub fn broken_by(&self, strata: &[Stratum]) -> Option<Breach> {
        let difference = strata_difference(strata)?;
        let interval = strata_at_any_time(strata, TUNED_TO, self.comparisons)?;
        (interval.high < -self.margin).then_some(Breach {
            difference,
            interval,
        })
    }
}

impl std::fmt::Display for Breach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let less = |share: f64| -share * 100.0;
        let (least, most) = (less(self.interval.high), less(self.interval.low));
        write!(
            f,
            "it completes {:.1} points less than the current arm, between {least:.1} and {most:.1} at any time",
            less(self.difference)
        )
    }
}
