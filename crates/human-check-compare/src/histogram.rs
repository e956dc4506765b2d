use serde::Serialize;

/// How many bins.
const BINS: usize = 20;

/// How scores spread over the common scale, where 0 is a machine and 1 a human.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ScoreHistogram {
    /// How many scores fell into each twentieth. A score of 1 is in the last.
    pub bins: [u64; BINS],
}

impl ScoreHistogram {
    pub(crate) fn new() -> Self {
        Self { bins: [0; BINS] }
    }

    pub(crate) fn count(&mut self, score: f64) {
        // Scores are kept to six places, and 0.15 · 20 is a little less than 3 without them.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let millionths = (score.clamp(0.0, 1.0) * 1e6).round() as usize;
        self.bins[(millionths * BINS / 1_000_000).min(BINS - 1)] += 1;
    }

    /// How many scores there are.
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
