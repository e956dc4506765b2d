use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

use super::Z;
use super::root::root;
use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// Returns the interval of the difference of two shares of the same visitors, first minus second,
/// for one look. `None` without pairs.
///
/// `first_only` and `second_only` count the visitors whom only one of both passed, of `pairs`. It is
/// the score interval of T. Tango, *Equivalence test and confidence interval for the difference in
/// proportions for the paired-sample design*, Statistics in Medicine 17, 1998.
pub fn paired_at_one_look(
    first_only: u64,
    second_only: u64,
    pairs: u64,
) -> Option<ConfidenceInterval> {
    const EDGE: f64 = 1e-12;
    if pairs == 0 || first_only.checked_add(second_only)? > pairs {
        return None;
    }
    let (b, c, n) = (float(first_only), float(second_only), float(pairs));
    // How many standard errors the observed difference is above `d`, where the visitors that differ
    // have the most likely share under `d`.
    let score = |d: f64| {
        let linear = -b - c + (2.0 * n - b + c) * d;
        let constant = -c * d * (1.0 - d);
        let root = (linear * linear - 8.0 * n * constant).max(0.0).sqrt();
        let second_share = (root - linear) / (4.0 * n);
        let variance = n * (2.0 * second_share + d * (1.0 - d));
        let above = b - c - n * d;
        match variance > 0.0 {
            true => above / variance.sqrt(),
            false if above == 0.0 => 0.0,
            false => f64::INFINITY.copysign(above),
        }
    };
    let difference = (b - c) / n;
    let (least, greatest) = (-1.0 + EDGE, 1.0 - EDGE);
    let low = match difference > -1.0 && score(least) > Z {
        true => root(least, difference, |d| score(d) - Z),
        false => -1.0,
    };
    let high = match difference < 1.0 && score(greatest) < -Z {
        true => root(difference, greatest, |d| score(d) + Z),
        false => 1.0,
    };
    Some(ConfidenceInterval { low, high })
}

/// Returns the probability of so unequal or more unequal counts, if `only first` and `only second`
/// are equally likely: McNemar's test with the mid-p-value, for one look.
///
/// See M. W. Fagerland, S. Lydersen, P. Laake, *The McNemar test for binary matched-pairs data*, BMC
/// Medical Research Methodology 13, 2013.
pub fn mcnemar_mid_p(first_only: u64, second_only: u64) -> f64 {
    let apart = first_only + second_only;
    let fewer = first_only.min(second_only);
    let Ok(binomial) = Binomial::new(0.5, apart) else {
        return 1.0;
    };
    match first_only == second_only {
        _ if apart == 0 => 1.0,
        true => 1.0 - 0.5 * binomial.pmf(fewer),
        false => 2.0 * binomial.cdf(fewer) - binomial.pmf(fewer),
    }
}
