use super::MIN_UNITS;
use super::share::{Count, wilson_share};
use super::width::width_factor_of;
use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// The visitors of two arms in one step of a ramp, during which the weights were the same.
///
/// Visitors of different steps came at different times, and the arms have different shares of them.
/// To add the steps up would count a difference of the days as one of the arms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stratum {
    /// The first arm.
    pub first: Count,
    /// The second arm.
    pub second: Count,
}

impl Stratum {
    /// Creates a stratum.
    pub fn new(first: Count, second: Count) -> Self {
        Self { first, second }
    }
}

/// A step with its weight and its difference.
struct Weighted {
    stratum: Stratum,
    weight: f64,
    difference: f64,
}

/// Returns the steps in which both arms have visitors, with the weights of Mantel and Haenszel: n₁n₂
/// / (n₁ + n₂), which depend on no outcome. They add up to 1.
fn weighted(strata: &[Stratum]) -> Vec<Weighted> {
    let mut all: Vec<_> = strata
        .iter()
        .filter_map(|stratum| {
            let difference = stratum.first.share()? - stratum.second.share()?;
            let (n1, n2) = (float(stratum.first.of), float(stratum.second.of));
            Some(Weighted {
                stratum: *stratum,
                weight: n1 * n2 / (n1 + n2),
                difference,
            })
        })
        .collect();
    let sum: f64 = all.iter().map(|step| step.weight).sum();
    for step in &mut all {
        step.weight /= sum;
    }
    all
}

/// Returns the estimate of the difference of two arms, first minus second. `None` when no step has
/// visitors of both.
pub fn strata_difference(strata: &[Stratum]) -> Option<f64> {
    let steps = weighted(strata);
    (!steps.is_empty()).then(|| steps.iter().map(|s| s.weight * s.difference).sum())
}

/// Returns the interval of the difference of two arms over the steps of a ramp, first minus second,
/// for one look. `None` when no step has visitors of both.
///
/// With one step it is [`arms_at_one_look`](super::arms_at_one_look). With several, the distances to
/// the ends of the Wilson intervals are combined with the squares of the steps' weights.
pub fn strata_at_one_look(strata: &[Stratum]) -> Option<ConfidenceInterval> {
    let middle = strata_difference(strata)?;
    let (mut below, mut above) = (0.0, 0.0);
    for step in weighted(strata) {
        let (first, second) = (step.stratum.first, step.stratum.second);
        let (p1, p2) = (first.share()?, second.share()?);
        let (first, second) = (wilson_share(first)?, wilson_share(second)?);
        let weight = step.weight.powi(2);
        below += weight * ((p1 - first.low).powi(2) + (second.high - p2).powi(2));
        above += weight * ((first.high - p1).powi(2) + (p2 - second.low).powi(2));
    }
    Some(ConfidenceInterval {
        low: middle - below.sqrt(),
        high: middle + above.sqrt(),
    })
}

/// Returns the interval of the difference of two arms over the steps of a ramp, first minus second,
/// that holds at all looks together. `None` before each arm has 100 visitors.
///
/// `tuned_to` is the number of visitors of both arms for which the sequence is tightest: the planned
/// one. It must be chosen before the first look. `comparisons` is how many arms are compared with the
/// current one: all their intervals together are wrong in at most 5 %. With one step and one comparison
/// it is [`arms_at_any_time`](super::arms_at_any_time) where both arms have as many visitors.
///
/// The sequence advances by as many visitors as two equal arms would need for the same precision, 4 n₁n₂
/// / (n₁ + n₂) in each step: with few visitors in one arm, the others say little.
pub fn strata_at_any_time(
    strata: &[Stratum],
    tuned_to: u64,
    comparisons: usize,
) -> Option<ConfidenceInterval> {
    let sum = |of: fn(&Stratum) -> u64| strata.iter().map(of).sum::<u64>();
    if sum(|s| s.first.of).min(sum(|s| s.second.of)) < MIN_UNITS {
        return None;
    }
    let middle = strata_difference(strata)?;
    let units: f64 = strata
        .iter()
        .map(|step| {
            let (n1, n2) = (float(step.first.of), float(step.second.of));
            4.0 * n1 * n2 / (n1 + n2).max(1.0)
        })
        .sum();
    let variance: f64 = weighted(strata)
        .iter()
        .map(|step| {
            let arms = step.stratum;
            step.weight.powi(2) * (arms.first.smoothed_variance() + arms.second.smoothed_variance())
        })
        .sum();
    let half = width_factor_of(units, tuned_to, comparisons) * variance.sqrt();
    Some(ConfidenceInterval {
        low: middle - half,
        high: middle + half,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine in ten of the second arm's visitors came on the days of the later step, on which fewer
    /// visitors complete. The arms are alike in each step.
    #[test]
    fn a_difference_of_the_days_is_no_difference_of_the_arms() {
        let step = |n1, n2, share: f64| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let of = |n: u64| Count::new((float(n) * share) as u64, n);
            Stratum {
                first: of(n1),
                second: of(n2),
            }
        };
        let steps = [step(9_900, 100, 0.9), step(1_000, 1_000, 0.5)];
        assert!(strata_difference(&steps).unwrap().abs() < 1e-12);
        for interval in [
            strata_at_one_look(&steps),
            strata_at_any_time(&steps, 12_000, 1),
        ] {
            let interval = interval.unwrap();
            assert!(interval.low < 0.0 && 0.0 < interval.high, "{interval:?}");
        }
        let all = |of: fn(&Stratum) -> Count| {
            let counts = steps.iter().map(of);
            counts.fold(Count::default(), |a, b| {
                Count::new(a.count + b.count, a.of + b.of)
            })
        };
        let added = Stratum {
            first: all(|s| s.first),
            second: all(|s| s.second),
        };
        let wrong = strata_at_any_time(&[added], 12_000, 1).unwrap();
        assert!(
            wrong.low > 0.2,
            "added up, the first arm seems better: {wrong:?}"
        );
    }

    #[test]
    fn steps_without_visitors_of_both_arms_count_nothing() {
        let both = Stratum {
            first: Count::new(90, 100),
            second: Count::new(80, 100),
        };
        let one = Stratum {
            first: Count::new(10, 1_000),
            second: Count::default(),
        };
        assert_eq!(
            strata_at_one_look(&[both]),
            strata_at_one_look(&[one, both])
        );
        assert_eq!(strata_at_one_look(&[one]), None);
        assert_eq!(strata_difference(&[]), None);
    }
}
