use std::time::Duration;

use serde::Serialize;

use crate::estimate::quantile_at_any_time;

/// The distribution of the latencies of a provider's checks, in milliseconds.
///
/// Percentiles are by nearest rank, so each is a latency that occurred.
///
/// ```
/// use human_check_compare::Latency;
/// use std::time::Duration;
///
/// let latencies = [15, 20, 35, 40, 50].map(Duration::from_millis);
/// let latency = Latency::of(latencies.to_vec()).expect("there are latencies");
/// assert_eq!((latency.p50, latency.p90), (35.0, 50.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// How many latencies there are.
    pub count: u64,
    /// The median: half of the checks took no longer, in milliseconds.
    pub p50: f64,
    /// The 90th percentile, in milliseconds.
    pub p90: f64,
    /// The 95th percentile, in milliseconds.
    pub p95: f64,
    /// The 99th percentile, in milliseconds.
    pub p99: f64,
}

impl Latency {
    /// Computes the percentiles of latencies in any order. `None` when there are no latencies.
    ///
    /// Latencies are rounded down to whole microseconds.
    pub fn of(times: Vec<Duration>) -> Option<Self> {
        let mut latencies = Latencies::default();
        times.into_iter().for_each(|time| latencies.add(time));
        latencies.summary()
    }
}

/// The latencies of many checks, in whole microseconds. Four bytes are enough for nearly every one:
/// 71 minutes.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    short: Vec<u32>,
    /// Those that need more bytes.
    long: Vec<u64>,
}

impl Latencies {
    /// Adds a latency.
    pub(crate) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        match u32::try_from(micros) {
            Ok(micros) => self.short.push(micros),
            Err(_) => self.long.push(micros),
        }
    }

    /// Computes the percentiles. `None` when there are no latencies.
    pub(crate) fn summary(mut self) -> Option<Latency> {
        self.short.sort_unstable();
        self.long.sort_unstable();
        let count = self.short.len() + self.long.len();
        let rank = |percent: usize| {
            // The rank of the smallest latency that at least this percentage does not exceed.
            let at = (count * percent).div_ceil(100).max(1) - 1;
            let short = self.short.get(at).copied().map(u64::from);
            let micros = match short {
                Some(micros) => micros,
                None => *self.long.get(at - self.short.len())?,
            };
            Some(Duration::from_micros(micros).as_secs_f64() * 1e3)
        };
        Some(Latency {
            count: u64::try_from(count).unwrap_or(u64::MAX),
            p50: rank(50)?,
            p90: rank(90)?,
            p95: rank(95)?,
            p99: rank(99)?,
        })
    }
}

/// A quantile of durations, with an interval that holds at all looks together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quantile {
    /// The quantile itself, in milliseconds.
    pub ms: f64,
    /// The lower end, in milliseconds. `None` if there are too few durations for one.
    pub low: Option<f64>,
    /// The upper end, in milliseconds. `None` if there are too few durations for one.
    pub high: Option<f64>,
}

impl Latencies {
    /// Returns the quantile of all durations. `None` if there are none.
    pub(crate) fn quantile(&mut self, quantile: f64) -> Option<Quantile> {
        self.short.sort_unstable();
        self.long.sort_unstable();
        let count = self.short.len() + self.long.len();
        let value = |rank: u64| {
            let at = usize::try_from(rank).ok()?.checked_sub(1)?;
            let short = self.short.get(at).copied().map(u64::from);
            let micros = match short {
                Some(micros) => micros,
                None => *self.long.get(at - self.short.len())?,
            };
            Some(Duration::from_micros(micros).as_secs_f64() * 1e3)
        };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let (low, high) = quantile_at_any_time(count, quantile);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let rank = ((count as f64 * quantile).ceil() as u64).max(1);
        Some(Quantile {
            ms: value(rank)?,
            low: low.and_then(value),
            high: high.and_then(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook example of the nearest-rank method: for 15, 20, 35, 40 and 50, the median is 35
    /// and the 90th percentile 50.
    #[test]
    fn percentiles_are_times_that_occurred() {
        let times = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let latency = Latency::of(times(&[50, 15, 40, 20, 35])).unwrap();
        assert_eq!((latency.p50, latency.p90, latency.p99), (35.0, 50.0, 50.0));
        let hundred: Vec<_> = (1..=100).collect();
        let latency = Latency::of(times(&hundred)).unwrap();
        assert_eq!(
            [latency.p50, latency.p90, latency.p95, latency.p99],
            [50.0, 90.0, 95.0, 99.0]
        );
        assert_eq!(Latency::of(Vec::new()), None);
    }

    #[test]
    fn a_latency_of_a_week_is_counted_as_it_is() {
        let week = Duration::from_secs(7 * 24 * 3_600);
        let times = vec![
            week,
            Duration::from_micros(41_234),
            week / 2,
            Duration::ZERO,
        ];
        let latency = Latency::of(times).unwrap();
        assert_eq!((latency.count, latency.p50), (4, 41.234));
        assert_eq!((latency.p90, latency.p99), (604_800_000.0, 604_800_000.0));
        let latency = Latency::of(vec![week]).unwrap();
        assert_eq!(latency.p50, 604_800_000.0);
    }
}
