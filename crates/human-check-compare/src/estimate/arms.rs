use super::Count;
use super::strata::{Stratum, strata_at_any_time, strata_at_one_look};
use crate::interval::ConfidenceInterval;

/// Returns the interval of the difference of the shares of two arms, first minus second, for one
/// look. `None` when an arm has no visitors.
///
/// It combines the two Wilson intervals (R. G. Newcombe, *Interval estimation for the difference
/// between independent proportions*, Statistics in Medicine 17, 1998, method 10). Looked at each
/// day until it excludes 0, it is wrong far more often than in 5 %: for that use
/// [`arms_at_any_time`].
pub fn arms_at_one_look(first: Count, second: Count) -> Option<ConfidenceInterval> {
    strata_at_one_look(&[Stratum { first, second }])
}

/// Returns the interval of the difference of the shares of two randomised arms, first minus second,
/// that holds at all looks together. `None` before each arm has 100 visitors.
///
/// The variance counts one success and one failure more in each arm. `tuned_to` is the number of
/// visitors of both arms for which it is tightest, chosen before the first look.
pub fn arms_at_any_time(first: Count, second: Count, tuned_to: u64) -> Option<ConfidenceInterval> {
    strata_at_any_time(&[Stratum { first, second }], tuned_to, 1)
}
