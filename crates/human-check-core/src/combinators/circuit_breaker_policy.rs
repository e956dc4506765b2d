use std::time::Duration;

use crate::ConfigError;

/// When a [`CircuitBreaker`](crate::CircuitBreaker) opens its circuit, and for how long.
///
/// It opens on either of two rules: failures in a row, or a share of failed and slow calls within a
/// window of time.
///
/// ```
/// use human_check_core::CircuitBreakerPolicy;
///
/// let mut policy = CircuitBreakerPolicy::default();
/// policy.consecutive_failures = 10;
/// assert_eq!(policy.open_for.as_secs(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreakerPolicy {
    /// How many failures in a row open the circuit. At least 1. Default 5.
    pub consecutive_failures: u32,
    /// Which share of the calls within the window must have failed or been slow to open the
    /// circuit. Above 0, up to 1. Default 0.5.
    pub failure_ratio: f64,
    /// How many calls the window must hold before the share counts. At least 1. Default 20.
    pub min_calls: u32,
    /// How far back calls count for the share. Above zero, up to 24 hours. Default 30 seconds.
    pub window: Duration,
    /// How long a call takes to count as slow. Above zero. Default 1.5 seconds.
    ///
    /// It must be shorter than the timeout of the check, or no call is ever slow.
    pub slow_call: Duration,
    /// How long the circuit stays open at first. Above zero, up to 24 hours. Default 5 seconds.
    ///
    /// Each failed breaker probe doubles it. The actual time differs by up to a tenth, at random,
    /// so that several processes do not probe at the same moment.
    pub open_for: Duration,
    /// The longest time that the circuit stays open, plus or minus a tenth. Above zero, up to 24
    /// hours. Default 60 seconds.
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
    /// Checks that every value is in its range.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let above_zero = "leave it out for the default, or write a number above zero";
        let wrong = |field, problem, remedy| Err(ConfigError::new(field, problem, remedy));
        if self.consecutive_failures == 0 || self.min_calls == 0 {
            return wrong(
                "circuit_breaker",
                "would open without a failure",
                above_zero,
            );
        }
        if !(self.failure_ratio > 0.0 && self.failure_ratio <= 1.0) {
            return wrong(
                "failure_ratio",
                "is outside its range",
                "leave it out for the default, or write a number above 0, up to 1",
            );
        }
        if [
            self.window,
            self.slow_call,
            self.open_for,
            self.max_open_for,
        ]
        .contains(&Duration::ZERO)
        {
            return wrong("circuit_breaker", "has a duration of zero", above_zero);
        }
        let day = Duration::from_secs(86_400);
        if self.window > day || self.max_open_for > day || self.open_for > day {
            return wrong(
                "circuit_breaker",
                "has a duration above 24 hours",
                "leave it out for the default, or write at most 24 hours",
            );
        }
        Ok(())
    }
}
