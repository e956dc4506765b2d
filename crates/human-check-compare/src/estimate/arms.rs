use super::Count;
use super::strata::{Stratum, strata_at_one_look};
use crate::ConfidenceInterval;

/// Returns the interval of the difference of the shares of two arms, first minus second, for one
/// look. `None` when an arm has nobody.
///
/// It combines the two Wilson intervals (R. G. Newcombe, *Interval estimation for the difference
/// between independent proportions*, Statistics in Medicine 17, 1998, method 10). Looked at each
/// day until it excludes 0, it is wrong far more often than in 5 %: for that use
/// [`arms_at_any_time`](super::arms_at_any_time).
pub fn arms_at_one_look(first: Count, second: Count) -> Option<ConfidenceInterval> {
    strata_at_one_look(&[Stratum { first, second }])
}
