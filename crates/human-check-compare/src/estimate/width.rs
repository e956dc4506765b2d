use super::ALPHA;
use crate::interval::float;

/// Returns how many standard errors an interval has to each side that holds at all looks together,
/// after `units` units: what takes the place of 1.96.
///
/// It is smallest near `tuned_to` units (I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A.
/// Ramdas, *Time-uniform central limit theory and asymptotic confidence sequences*, Annals of
/// Statistics 52, 2024).
pub fn width_factor(units: u64, tuned_to: u64) -> f64 {
    factor(float(units.max(1)), rho2(tuned_to), ALPHA)
}

/// Returns the same for a number of units that need not be whole, and for one of several comparisons,
/// which are wrong in 5 % together.
pub(super) fn width_factor_of(units: f64, tuned_to: u64, comparisons: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "few arms")]
    let alpha = ALPHA / comparisons.max(1) as f64;
    factor(units.max(1.0), rho2(tuned_to), alpha)
}

/// Returns the parameter with which the sequence is tightest near `tuned_to` units.
pub(super) fn rho2(tuned_to: u64) -> f64 {
    let log = -2.0 * ALPHA.ln();
    (log + (log + 1.0).ln()) / float(tuned_to.max(1))
}

/// Returns the factor of the width after `units` units.
pub(super) fn factor(units: f64, rho2: f64, alpha: f64) -> f64 {
    let t = units * rho2;
    (2.0 * (t + 1.0) / t * ((t + 1.0).sqrt() / alpha).ln()).sqrt()
}
