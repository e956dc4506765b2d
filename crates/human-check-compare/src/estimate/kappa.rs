use statrs::distribution::{Beta, ContinuousCDF};

use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// The number of points at which the posterior distribution is computed.
const POINTS: u32 = 4_096;

/// Returns the interval of Cohen's kappa, or `None` without pairs.
///
/// `table` counts the visitors that both providers passed, only the first, only the second, and
/// neither.
///
/// It goes from the smaller lower end to the larger upper end of two posterior distributions of
/// kappa: those with a quarter and with half a visitor more in each cell of the table. The
/// large-sample interval of textbooks holds 1 % instead of 95 % where providers seldom disagree;
/// this one held 93 % or more everywhere it was tried, see docs/reference/statistics.md.
pub fn kappa_interval(table: [u64; 4]) -> Option<ConfidenceInterval> {
    if table == [0; 4] {
        return None;
    }
    let (quarter, half) = (posterior(table, 0.25)?, posterior(table, 0.5)?);
    Some(ConfidenceInterval {
        low: quarter.low.min(half.low),
        high: quarter.high.max(half.high),
    })
}

/// Returns the middle 95 % of the posterior distribution of kappa, with `prior` visitors more in each
/// cell of the table.
///
/// The distribution of the four shares is that of Dirichlet. It is drawn at the points of Halton with
/// the bases 2, 3 and 5, by breaking off one share after the other, so the same table always has the
/// same interval.
pub(super) fn posterior(table: [u64; 4], prior: f64) -> Option<ConfidenceInterval> {
    let [yy, yn, ny, nn] = table.map(|cell| float(cell) + prior);
    let breaks = [
        Beta::new(yy, yn + ny + nn).ok()?,
        Beta::new(yn, ny + nn).ok()?,
        Beta::new(ny, nn).ok()?,
    ];
    let mut kappas: Vec<f64> = (1..=POINTS)
        .map(|point| {
            let [first, second, third] = [(0, 2), (1, 3), (2, 5)]
                .map(|(nth, base)| breaks[nth].inverse_cdf(halton(point, base)));
            let yy = first;
            let yn = (1.0 - first) * second;
            let ny = (1.0 - first) * (1.0 - second) * third;
            let nn = (1.0 - first) * (1.0 - second) * (1.0 - third);
            let (a, b) = (yy + yn, yy + ny);
            let by_chance = a * b + (1.0 - a) * (1.0 - b);
            match by_chance < 1.0 {
                true => (yy + nn - by_chance) / (1.0 - by_chance),
                false => 1.0,
            }
        })
        .collect();
    kappas.sort_unstable_by(f64::total_cmp);
    // By nearest rank: 2.5 % and 97.5 % of 4,096.
    Some(ConfidenceInterval {
        low: kappas[102],
        high: kappas[3_993],
    })
}

/// Returns a point of Halton's sequence, above 0 and below 1: the digits of `index` behind the point,
/// in reverse.
fn halton(mut index: u32, base: u32) -> f64 {
    let (mut share, mut value) = (1.0, 0.0);
    while index > 0 {
        share /= f64::from(base);
        value += share * f64::from(index % base);
        index /= base;
    }
    value
}
