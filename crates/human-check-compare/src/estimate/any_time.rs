use statrs::function::beta::ln_beta;

use super::root::root;
use super::width::width_factor;
use super::{ALPHA, Count, MIN_UNITS};
use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// Returns the logarithm of how much likelier the mixture of all shares makes `share` than the share
/// `p` does. Its exponential has the expectation 1 or less at any time if `p` is true.
pub(super) fn log_mixture(share: Count, p: f64) -> f64 {
    let (x, rest) = (float(share.count), float(share.of - share.count));
    // 0 · log 0 is 0 here.
    let times_log = |n: f64, log: f64| if n == 0.0 { 0.0 } else { n * log };
    // The mixture is uniform: its beta function is that of (1, 1), which is 1.
    ln_beta(1.0 + x, 1.0 + rest) - times_log(x, p.ln()) - times_log(rest, (-p).ln_1p())
}

/// Returns an interval of a share that holds at all looks together, or `None` when there are no visitors.
///
/// It has all shares against which the evidence stays below 20 to 1 (H. Robbins, *Statistical
/// methods related to the law of the iterated logarithm*, Annals of Mathematical Statistics 41,
/// 1970). It is exact.
pub fn share_at_any_time(share: Count) -> Option<ConfidenceInterval> {
    const EDGE: f64 = 1e-15;
    let p = share.share()?;
    let beyond = |p| log_mixture(share, p) - (1.0 / ALPHA).ln();
    let low = match share.count == 0 || beyond(EDGE) < 0.0 {
        true => 0.0,
        false => root(EDGE, p.clamp(EDGE, 1.0 - EDGE), beyond),
    };
    let high = match share.count == share.of || beyond(1.0 - EDGE) < 0.0 {
        true => 1.0,
        false => root(p.clamp(EDGE, 1.0 - EDGE), 1.0 - EDGE, beyond),
    };
    Some(ConfidenceInterval { low, high })
}

/// Returns the logarithm of the evidence against the statement that `only first` and `only second`
/// are equally likely, at any time. Above log 20 the statement is wrong with 95 % confidence.
///
/// It is the exact mixture of [`share_at_any_time`] for a share of one half.
pub fn paired_log_evidence(first_only: u64, second_only: u64) -> f64 {
    log_mixture(Count::new(first_only, first_only + second_only), 0.5)
}

/// Returns the interval of the difference of two paired shares, first minus second, that holds at
/// all looks together. `None` before 100 pairs.
///
/// `first_only` and `second_only` count the visitors whom only one of both passed, of `pairs`.
/// `tuned_to` is the number of pairs for which it is tightest.
pub fn paired_at_any_time(
    first_only: u64,
    second_only: u64,
    pairs: u64,
    tuned_to: u64,
) -> Option<ConfidenceInterval> {
    if pairs < MIN_UNITS {
        return None;
    }
    let (b, c, n) = (float(first_only), float(second_only), float(pairs));
    let difference = (b - c) / n;
    // At least one pair apart, so that an early look without any is no certainty.
    let variance = ((b + c) / n - difference * difference).max(1.0 / n);
    let half = width_factor(pairs, tuned_to) * (variance / n).sqrt();
    Some(ConfidenceInterval {
        low: difference - half,
        high: difference + half,
    })
}
