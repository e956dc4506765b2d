use statrs::distribution::{ContinuousCDF, Normal};

use super::Z;
use super::root::root;
use super::width::{factor, rho2};

/// The largest number of visitors that is planned with.
const MAX_SIZE: f64 = 1e12;

/// Returns the quantile of the normal distribution for a power.
fn z_of(power: f64) -> f64 {
    Normal::standard().inverse_cdf(power)
}

/// Rounds a number of visitors up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn visitors(size: f64) -> u64 {
    size.ceil() as u64
}

/// Returns how many visitors each arm needs to tell the share `first` from the share `second` with
/// `power`, at one look after all of them. `None` for equal shares.
///
/// See J. L. Fleiss, *Statistical methods for rates and proportions*, 1981, without correction for
/// continuity.
pub fn arm_size(first: f64, second: f64, power: f64) -> Option<u64> {
    if first == second {
        return None;
    }
    let middle = f64::midpoint(first, second);
    let spread = first * (1.0 - first) + second * (1.0 - second);
    let together = Z * (2.0 * middle * (1.0 - middle)).sqrt() + z_of(power) * spread.sqrt();
    Some(visitors((together / (first - second)).powi(2)))
}

/// Returns how many visitors of both arms are needed, where the first arm has the share `weight` of
/// them, at one look after all of them. `None` for equal shares, or a weight that is not between 0 and
/// 1.
pub fn total_size(first: f64, second: f64, weight: f64, power: f64) -> Option<u64> {
    let spread = spread_of(first, second, weight)?;
    let size = ((Z + z_of(power)) / (first - second)).powi(2) * spread;
    (first != second).then(|| visitors(size))
}

/// Returns how many visitors of both arms are needed, where the first arm has the share `weight` of
/// them, if the operator looks as often as wanted and the sequence is tuned to that number. `None` for
/// equal shares, or a weight that is not between 0 and 1.
pub fn total_size_at_any_time(first: f64, second: f64, weight: f64, power: f64) -> Option<u64> {
    let spread = spread_of(first, second, weight)?;
    let size = ((tightest() + z_of(power)) / (first - second)).powi(2) * spread;
    (first != second).then(|| visitors(size))
}

/// Returns the variance of a difference of two shares, for one visitor of both arms.
fn spread_of(first: f64, second: f64, weight: f64) -> Option<f64> {
    let spread = first * (1.0 - first) / weight + second * (1.0 - second) / (1.0 - weight);
    (weight > 0.0 && weight < 1.0).then_some(spread)
}

/// Returns how many pairs are needed to tell a difference of two shares of the same visitors from 0
/// with `power`, at one look after all of them, where the providers differ in the share `apart` of
/// visitors. `None` if `difference` is 0 or above `apart`.
///
/// See R. J. Connor, *Sample size for testing differences in proportions for the paired-sample
/// design*, Biometrics 43, 1987.
pub fn paired_size(difference: f64, apart: f64, power: f64) -> Option<u64> {
    if difference == 0.0 || difference.abs() > apart {
        return None;
    }
    Some(visitors(pairs(difference, apart, power)))
}

fn pairs(difference: f64, apart: f64, power: f64) -> f64 {
    let spread = apart - difference * difference;
    let together = Z * apart.sqrt() + z_of(power) * spread.sqrt();
    (together / difference).powi(2)
}

/// Returns how many pairs are needed, if the operator looks as often as wanted and the sequence is
/// tuned to that number. `None` if `difference` is 0 or above `apart`.
pub fn paired_size_at_any_time(difference: f64, apart: f64, power: f64) -> Option<u64> {
    let spread = apart - difference * difference;
    let enough = |n: f64| difference.abs() * (n / spread).sqrt() - tightest() - z_of(power);
    size(difference != 0.0 && difference.abs() <= apart, enough)
}

/// Returns the smallest difference that so many pairs show with `power`, at one look. `None` without
/// pairs.
pub fn smallest_paired_difference(count: u64, apart: f64, power: f64) -> Option<f64> {
    let count = crate::interval::float(count);
    let largest = apart * (1.0 - 1e-12);
    (count > 0.0 && pairs(largest, apart, power) <= count)
        .then(|| root(1e-9, largest, |d| count - pairs(d, apart, power)))
}

/// Returns the factor of the width of a sequence at the number of units that it is tuned to, which is
/// the same for every number.
fn tightest() -> f64 {
    factor(1.0, rho2(1), super::ALPHA)
}

/// Returns from which number of visitors on `enough` is positive.
fn size(is_possible: bool, enough: impl Fn(f64) -> f64) -> Option<u64> {
    (is_possible && enough(MAX_SIZE) > 0.0).then(|| visitors(root(10.0, MAX_SIZE, enough)))
}
