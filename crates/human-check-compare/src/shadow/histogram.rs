use serde::Serialize;

/// The number of bins.
const BINS: usize = 20;

/// The distribution of a provider's scores on the common scale, where 0 is a machine and 1 a human.
///
/// Scores of two providers cannot be compared: a 0.7 of one is not a 0.7 of the other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScoreHistogram {
    /// How many scores are in each of the 20 bins. The first bin has 0 up to 0.05, without 0.05
    /// itself. The last one has 0.95 to 1.
    pub bins: [u64; BINS],
}

impl ScoreHistogram {
    /// Creates an empty histogram.
    pub(crate) fn new() -> Self {
        Self { bins: [0; BINS] }
    }

    /// Adds one score, from 0 to 1.
    pub(crate) fn count(&mut self, score: f64) {
        // Scores have six decimal places. Without the rounding, 0.15 · 20 is a little less than 3.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let millionths = (score.clamp(0.0, 1.0) * 1e6).round() as usize;
        self.bins[(millionths * BINS / 1_000_000).min(BINS - 1)] += 1;
    }

    /// Returns how many scores the histogram has.
    pub fn total(&self) -> u64 {
        self.bins.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_in_the_bin_that_begins_at_or_below_it() {
        let mut histogram = ScoreHistogram::new();
        for twentieth in 0..=20_u8 {
            histogram.count(f64::from(twentieth) / 20.0);
        }
        let mut expected = [1; BINS];
        expected[BINS - 1] = 2;
        assert_eq!(histogram.bins, expected);
        assert_eq!(histogram.total(), 21);
    }
}
