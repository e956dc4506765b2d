//! Formulas: intervals, tests, sequences that hold at any time, and sizes of samples.
//!
//! All functions are pure and deterministic. Intervals are two-sided, at 95 %.
//! docs/reference/statistics.md says which one is used where, and where each one comes from.
//!
//! ```
//! use human_check_compare::estimate::{Count, arms_at_any_time, arms_at_one_look};
//!
//! let (candidate, current) = (Count::new(950, 1_000), Count::new(930, 1_000));
//! let once = arms_at_one_look(candidate, current).expect("both have visitors");
//! let always = arms_at_any_time(candidate, current, 5_000).expect("both have 100 visitors");
//! // To hold whenever the operator looks, an interval must be wider.
//! assert!(always.low < once.low && once.high < always.high);
//! ```

#[cfg(feature = "statistics")]
mod any_time;
mod arms;
#[cfg(feature = "statistics")]
mod clustered;
#[cfg(all(test, feature = "statistics"))]
mod golden;
#[cfg(feature = "statistics")]
mod kappa;
#[cfg(feature = "statistics")]
mod paired;
#[cfg(feature = "statistics")]
mod plan;
#[cfg(feature = "statistics")]
mod quantile;
#[cfg(feature = "statistics")]
mod root;
mod share;
#[cfg(feature = "statistics")]
mod split;
mod strata;
mod width;

#[cfg(feature = "statistics")]
pub use any_time::{paired_at_any_time, paired_log_evidence, share_at_any_time};
pub use arms::{arms_at_any_time, arms_at_one_look};
#[cfg(feature = "statistics")]
pub use clustered::{ClusteredShare, clustered_difference, clustered_share};
#[cfg(feature = "statistics")]
pub use kappa::kappa_interval;
#[cfg(feature = "statistics")]
pub use paired::{mcnemar_mid_p, paired_at_one_look};
#[cfg(feature = "statistics")]
pub use plan::{
    arm_size, paired_size, paired_size_at_any_time, smallest_paired_difference, total_size,
    total_size_at_any_time,
};
#[cfg(feature = "statistics")]
pub use quantile::{quantile_at_any_time, quantile_at_one_look};
#[cfg(feature = "statistics")]
pub use share::exact_share;
pub use share::{Count, wilson_share};
#[cfg(feature = "statistics")]
pub use split::{SPLIT_ALARM, split_log_evidence};
pub use strata::{Stratum, strata_at_any_time, strata_at_one_look, strata_difference};
pub use width::width_factor;

/// The two-sided 95 % quantile of the normal distribution.
pub(crate) const Z: f64 = 1.959_963_984_540_054;

/// One minus the confidence level.
pub(crate) const ALPHA: f64 = 0.05;

/// The number of units from which on a sequence that holds at any time is used. Below it the normal
/// approximation behind it is too rough.
const MIN_UNITS: u64 = 100;
