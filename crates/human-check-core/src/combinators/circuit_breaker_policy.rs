use std::time::Duration;

use crate::ConfigError;

/// When a [`CircuitBreaker`](crate::CircuitBreaker) opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreakerPolicy {
    /// Opens after so many failures in a row. Default 5.
    pub consecutive_failures: u32,
    /// Opens when this share of the calls within the window failed or was slow. Default 0.5.
    pub failure_ratio: f64,
    /// The share means nothing before so many calls. Default 20.
    pub min_calls: u32,
    /// How far back calls count. Default 30 seconds.
    pub window: Duration,
    /// An answer is slow when it takes so long. Default 1.5 seconds.
    pub slow_call: Duration,
    /// How long it stays open at first; each failed probe doubles it. Give or take a tenth, by
    /// chance. Default 5 seconds.
    pub open_for: Duration,
    /// How long it stays open at most. Default a minute.
    pub max_open_for: Duration,
}

impl Default for CircuitBreakerPolicy {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_calls: 20,
            window: Duration::from_secs(30),
            slow_call: Duration::from_millis(1_500),
            open_for: Duration::from_secs(5),
            max_open_for: Duration::from_secs(60),
        }
    }
}

impl CircuitBreakerPolicy {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem| {
            let remedy = "leave it out for the default, or write a number above zero";
            Err(ConfigError::new(field, problem, remedy))
        };
        if self.consecutive_failures == 0 || self.min_calls == 0 {
            return wrong("circuit_breaker", "would open without a failure");
        }
        if !(self.failure_ratio > 0.0 && self.failure_ratio <= 1.0) {
            return wrong("failure_ratio", "is not above 0 and at most 1");
        }
        if [
            self.window,
            self.slow_call,
            self.open_for,
            self.max_open_for,
        ]
        .contains(&Duration::ZERO)
        {
            return wrong("circuit_breaker", "is given a time of zero");
        }
        let day = Duration::from_secs(86_400);
        if self.window > day || self.max_open_for > day || self.open_for > day {
            return wrong("circuit_breaker", "is given a time longer than a day");
        }
        Ok(())
    }
}
