use statrs::function::gamma::ln_gamma;

use crate::interval::float;

/// How sure the check of the split is of the planned shares beforehand: as sure as after so many
/// visitors.
const STRENGTH: f64 = 1_000.0;

/// The evidence from which on the split is not as planned: 1,000 to 1, as a logarithm.
pub const SPLIT_ALARM: f64 = 6.907_755_278_982_137;

/// Returns the logarithm of the evidence against the statement that visitors were assigned with these
/// shares, at any time. Above [`SPLIT_ALARM`] the split is not as planned.
///
/// `counts` and `shares` have one entry for each arm, and the shares add up to 1. A split that is not
/// as planned means that visitors of one arm are missing, so that the arms cannot be compared (M.
/// Lindon, A. Malek, *Anytime-valid inference for multinomial count data*, NeurIPS 2022).
pub fn split_log_evidence(counts: &[u64], shares: &[f64]) -> f64 {
    let total = float(counts.iter().sum());
    let sums = ln_gamma(STRENGTH) - ln_gamma(STRENGTH + total);
    let arms = counts.iter().zip(shares).map(|(count, share)| {
        let (count, prior) = (float(*count), STRENGTH * share);
        let expected = if count == 0.0 {
            0.0
        } else {
            count * share.ln()
        };
        ln_gamma(prior + count) - ln_gamma(prior) - expected
    });
    sums + arms.sum::<f64>()
}
