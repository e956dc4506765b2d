use std::time::Duration;

use serde::Serialize;

/// How long a provider took, in milliseconds: percentiles by nearest rank, each a time that occurred.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// How many times were taken, failures among them.
    pub count: u64,
    /// Half were as fast.
    pub p50: f64,
    /// 90 of 100 were.
    pub p90: f64,
    /// 95 of 100 were.
    pub p95: f64,
    /// 99 of 100 were.
    pub p99: f64,
}

impl Latency {
    /// Of times in any order. `None` of none.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let rank = |percent: usize| {
            // The smallest time that at least so many of 100 do not exceed.
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(|time| time.as_secs_f64() * 1e3)
        };
        Some(Self {
            count: u64::try_from(times.len()).unwrap_or(u64::MAX),
            p50: rank(50)?,
            p90: rank(90)?,
            p95: rank(95)?,
            p99: rank(99)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the nearest-rank method: of 15, 20, 35, 40, 50 the median is 35 and the 90th 50.
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
}
