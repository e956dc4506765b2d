use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;
#[cfg(feature = "statistics")]
use statrs::distribution::{Beta, ContinuousCDF};

#[cfg(feature = "statistics")]
use super::ALPHA;
use super::Z;
use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// How many of a number of visitors did something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// How many did.
    pub count: u64,
    /// How many there are, at least `count`.
    pub of: u64,
}

impl Count {
    /// Creates a count. `count` is cut to `of`.
    pub fn new(count: u64, of: u64) -> Self {
        Self {
            count: count.min(of),
            of,
        }
    }

    /// Returns the share, or `None` when there are no visitors.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| float(self.count) / float(self.of))
    }

    /// Returns the variance of the share, with one success and one failure more, so that it is not 0
    /// when all or none succeed.
    pub(crate) fn smoothed_variance(self) -> f64 {
        let share = (float(self.count) + 1.0) / (float(self.of) + 2.0);
        share * (1.0 - share) / float(self.of)
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            of: self.of + other.of,
        }
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Returns Wilson's score interval of a share, or `None` when there are no visitors.
///
/// It is close to 95 % for few visitors and for shares near 0 and 1, too, and a little below for
/// some (E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, JASA
/// 22, 1927).
pub fn wilson_share(share: Count) -> Option<ConfidenceInterval> {
    let p = share.share()?;
    Some(wilson(p, float(share.of), Z))
}

/// Returns Wilson's interval of the share `p` of `n`, with `z` standard errors to each side.
pub(super) fn wilson(p: f64, n: f64, z: f64) -> ConfidenceInterval {
    let z2 = z * z;
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At shares of 0 and 1 one end is exact, which rounding would hide.
    let low = if p <= 0.0 { 0.0 } else { middle - half };
    let high = if p >= 1.0 { 1.0 } else { middle + half };
    ConfidenceInterval {
        low: low.clamp(0.0, p),
        high: high.clamp(p, 1.0),
    }
}

/// Returns the interval of Clopper and Pearson of a share, or `None` when there are no visitors.
///
/// It never holds less than 95 %, so it is the one where something is decided (C. J. Clopper, E. S.
/// Pearson, *The use of confidence or fiducial limits*, Biometrika 26, 1934).
#[cfg(feature = "statistics")]
pub fn exact_share(share: Count) -> Option<ConfidenceInterval> {
    share.share()?;
    let (x, rest) = (float(share.count), float(share.of - share.count));
    let beta = |a, b, p| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    Some(ConfidenceInterval {
        low: match share.count {
            0 => 0.0,
            _ => beta(x, rest + 1.0, ALPHA / 2.0),
        },
        high: match share.count == share.of {
            true => 1.0,
            false => beta(x + 1.0, rest, 1.0 - ALPHA / 2.0),
        },
    })
}
