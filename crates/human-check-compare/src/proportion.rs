use serde::Serialize;

use crate::estimate::{Count, wilson_share};
use crate::interval::ConfidenceInterval;

/// A share of a number of visitors, such as a pass rate, with its confidence interval.
///
/// ```
/// use human_check_compare::Proportion;
///
/// let passed = Proportion::new(81, 100).expect("100 is above zero");
/// assert_eq!(passed.share, 0.81);
/// assert!(passed.interval.low > 0.72 && passed.interval.high < 0.88);
/// assert_eq!(Proportion::new(0, 0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Proportion {
    /// The number of visitors that the share counts.
    pub count: u64,
    /// The number of all visitors, at least 1.
    pub of: u64,
    /// The share, `count` divided by `of`, from 0 to 1.
    pub share: f64,
    /// Wilson's score interval at 95 % (E. B. Wilson, *Probable inference, the law of succession,
    /// and statistical inference*, JASA 22, 1927). It also holds for few visitors and for shares
    /// near 0 and 1.
    pub interval: ConfidenceInterval,
}

impl Proportion {
    /// Computes the share `count` of `of`. `None` when `of` is zero, or below `count`.
    pub fn new(count: u64, of: u64) -> Option<Self> {
        if of == 0 || count > of {
            return None;
        }
        let share = Count::new(count, of);
        Some(Self {
            count,
            of,
            share: share.share()?,
            interval: wilson_share(share)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R. G. Newcombe, *Two-sided confidence intervals for the single proportion*, Statistics in
    /// Medicine 17, 1998, table I, method 3.
    #[test]
    fn wilsons_interval_is_as_published() {
        for (count, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let share = Proportion::new(count, of).unwrap();
            assert!((share.interval.low - low).abs() < 5e-5, "{share:?}");
            assert!((share.interval.high - high).abs() < 5e-5, "{share:?}");
        }
        assert_eq!(Proportion::new(0, 0), None);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_share_and_mirrors(count in 0_u64..2_000, more in 1_u64..2_000) {
            let of = count + more;
            let share = Proportion::new(count, of).unwrap();
            prop_assert!(0.0 <= share.interval.low && share.interval.low <= share.share);
            prop_assert!(share.share <= share.interval.high && share.interval.high <= 1.0);
            let rest = Proportion::new(more, of).unwrap();
            prop_assert!((share.interval.low - (1.0 - rest.interval.high)).abs() < 1e-9);
        }
    }
}
