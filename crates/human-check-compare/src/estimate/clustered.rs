use statrs::distribution::{ContinuousCDF, StudentsT};

use super::share::wilson;
use super::{ALPHA, Count};
use crate::interval::ConfidenceInterval;
use crate::interval::float;

/// A share of visits, where several visits may be those of one visitor.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClusteredShare {
    /// The share of all visits.
    pub share: f64,
    /// Its interval.
    pub interval: ConfidenceInterval,
    /// How many independent visits would say as much.
    pub effective_size: f64,
}

/// Returns the quantile that takes the place of 1.96 for so many clusters.
fn quantile(clusters: f64) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, clusters - 1.0).ok()?;
    Some(t.inverse_cdf(1.0 - ALPHA / 2.0))
}

/// Returns the share of visits, each cluster of which may be alike: those of one visitor, or of all
/// visitors in one of 256 random buckets. `None` without visits.
///
/// The variance is that between clusters, and the interval is Wilson's with the effective number of
/// visits and Student's quantile (N. Dean, M. Pagano, *Evaluating confidence interval methods for
/// binomial proportions in clustered surveys*, Journal of Survey Statistics and Methodology 3, 2015).
/// One cluster alone says nothing: its interval is 0 to 1.
pub fn clustered_share(clusters: &[Count]) -> Option<ClusteredShare> {
    let filled = || clusters.iter().filter(|cluster| cluster.of > 0);
    let sum = |of: fn(&Count) -> u64| float(filled().map(of).sum());
    let (passed, n) = (sum(|c| c.count), sum(|c| c.of));
    #[allow(clippy::cast_precision_loss)]
    let number = filled().count() as f64;
    if number == 0.0 {
        return None;
    }
    let share = passed / n;
    if number < 2.0 {
        return Some(ClusteredShare {
            share,
            interval: ConfidenceInterval {
                low: 0.0,
                high: 1.0,
            },
            effective_size: 0.0,
        });
    }
    let apart = |c: &Count| (float(c.count) - share * float(c.of)).powi(2);
    let variance = number / (number - 1.0) * filled().map(apart).sum::<f64>() / (n * n);
    // Where none or all passed there is no variance to see, but visits of one visitor may
    // still be alike.
    let kish = n * n / filled().map(|c| float(c.of).powi(2)).sum::<f64>();
    let effective_size = match share > 0.0 && share < 1.0 {
        true if variance > 0.0 => (share * (1.0 - share) / variance).min(n),
        true => kish.min(n),
        false => kish,
    };
    Some(ClusteredShare {
        share,
        interval: wilson(share, effective_size, quantile(number)?),
        effective_size,
    })
}

/// Returns the difference of two shares of the same visits, first minus second, and its interval,
/// where visits of one cluster may be alike. `None` below two clusters.
///
/// Each cluster has the number of `only first` minus that of `only second`, and its visits.
pub fn clustered_difference(clusters: &[(i64, u64)]) -> Option<(f64, ConfidenceInterval)> {
    #[allow(clippy::cast_precision_loss)]
    let (number, balance) = (clusters.len() as f64, |b: i64| b as f64);
    let n: f64 = clusters.iter().map(|(_, visits)| float(*visits)).sum();
    if number < 2.0 || n == 0.0 {
        return None;
    }
    let difference = clusters.iter().map(|(b, _)| balance(*b)).sum::<f64>() / n;
    let apart = clusters
        .iter()
        .map(|(b, visits)| (balance(*b) - difference * float(*visits)).powi(2))
        .sum::<f64>();
    let half = quantile(number)? * (number / (number - 1.0) * apart / (n * n)).sqrt();
    let interval = ConfidenceInterval {
        low: difference - half,
        high: difference + half,
    };
    Some((difference, interval))
}
