use serde::Serialize;

/// A 95 % confidence interval. It accounts for chance only, and not for a choice of visitors that
/// does not represent all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConfidenceInterval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Converts a count to a float. Counts are far below the numbers that a float cannot hold exactly.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
