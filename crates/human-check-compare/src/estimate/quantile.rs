use statrs::distribution::{Binomial, DiscreteCDF};

use super::any_time::log_mixture;
use super::{ALPHA, Count};

/// Returns the ranks, from 1, of the values between which a quantile lies, for one look. An end is
/// `None` where the number of values does not reach it.
///
/// `quantile` is between 0 and 1, such as 0.95. The interval follows from the number of values below
/// a quantile alone, so it holds for any distribution.
pub fn quantile_at_one_look(count: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    let Ok(binomial) = Binomial::new(quantile, count) else {
        return (None, None);
    };
    if count == 0 {
        return (None, None);
    }
    let low = binomial.inverse_cdf(ALPHA / 2.0);
    let high = binomial.inverse_cdf(1.0 - ALPHA / 2.0) + 1;
    ((low >= 1).then_some(low), (high <= count).then_some(high))
}

/// Returns the ranks, from 1, of the values between which a quantile lies at all looks together. An
/// end is `None` where the number of values does not reach it.
///
/// It has the ranks against which the evidence stays below 20 to 1, in the simplest form of S. R.
/// Howard, A. Ramdas, *Sequential estimation of quantiles*, Bernoulli 28, 2022.
pub fn quantile_at_any_time(count: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    let holds = |rank: u64| log_mixture(Count::new(rank, count), quantile) < (1.0 / ALPHA).ln();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let middle = ((count as f64 * quantile).round() as u64).min(count);
    // The evidence grows with the distance from the expected rank, on each side.
    let (mut below, mut low) = (0, middle);
    while below < low {
        let rank = below + (low - below) / 2;
        match holds(rank) {
            true => low = rank,
            false => below = rank + 1,
        }
    }
    let (mut high, mut above) = (middle, count);
    while high < above {
        let rank = high + (above - high).div_ceil(2);
        match holds(rank) {
            true => high = rank,
            false => above = rank - 1,
        }
    }
    let high = high + 1;
    ((low >= 1).then_some(low), (high <= count).then_some(high))
}
