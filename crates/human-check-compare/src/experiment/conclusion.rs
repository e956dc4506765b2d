use serde::Serialize;

use crate::ConfidenceInterval;

/// What an experiment says so far about one arm, in comparison with the current account.
///
/// It holds at any time: an operator may look as often as wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "conclusion")]
#[non_exhaustive]
pub enum Conclusion {
    /// Visitors of one arm are missing, so the arms cannot be compared.
    CannotCompare,
    /// More visitors of the arm complete.
    Better {
        /// By how much, as a share.
        difference: f64,
        /// The interval of the difference.
        interval: ConfidenceInterval,
    },
    /// Nothing is decided yet.
    NotYet {
        /// The difference so far, as a share. `None` without visitors of both arms.
        difference: Option<f64>,
        /// Its interval. `None` before each arm has 100 visitors.
        interval: Option<ConfidenceInterval>,
        /// How many visitors of both arms are still to come until the planned number. `None` without a
        /// plan, or after it.
        visitors_to_come: Option<u64>,
        /// How many days that takes at the pace so far.
        days_to_come: Option<u64>,
    },
    /// The arm is at most the margin worse: no difference that matters was found.
    NotWorse {
        /// The difference, as a share.
        difference: f64,
        /// Its interval.
        interval: ConfidenceInterval,
    },
    /// Fewer visitors of the arm complete.
    Worse {
        /// By how much, as a share below 0.
        difference: f64,
        /// The interval of the difference.
        interval: ConfidenceInterval,
    },
}
