use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A source of time, so that a test can set the time instead of waiting.
///
/// Policies, circuit breakers and the replay store in memory read the time from a clock. The
/// default is [`SystemClock`]; the setters are named `with_clock`.
///
/// ```
/// use human_check_core::Clock;
/// use std::time::{Duration, SystemTime};
///
/// /// A clock that stands still.
/// #[derive(Debug)]
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH
///     }
///
///     fn uptime(&self) -> Duration {
///         Duration::ZERO
///     }
/// }
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the current date and time.
    ///
    /// It is compared with the times that providers report. It may jump, also backwards.
    fn now(&self) -> SystemTime;

    /// Returns the time since a fixed moment in the past.
    ///
    /// It never goes backwards. Time spans, such as a ttl, are measured with it.
    fn uptime(&self) -> Duration;
}

/// The clock of the operating system.
///
/// On `wasm32-unknown-unknown` there is no such clock, and reading it panics. Pass a [`Clock`] of
/// your own there.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn uptime(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock whose [`now`](Clock::now) does not go back.
///
/// For a check that remembers what it accepted: if the clock were set back after an entry of its
/// memory has ended, what was accepted would be accepted again. While the other clock is behind, the
/// time goes on with [`uptime`](Clock::uptime). The first time that this happens is a warning.
///
/// Clones share the latest time. All clocks that [`system`](Self::system) returns share one as well,
/// so a check that is built anew in the same process does not go back either.
#[derive(Clone, Debug)]
pub struct SteadyClock<C = SystemClock> {
    clock: C,
    latest: Arc<Mutex<Option<Latest>>>,
}

/// The latest time, and the uptime at which it was read.
#[derive(Clone, Copy, Debug)]
struct Latest {
    now: SystemTime,
    uptime: Duration,
    was_set_back: bool,
}

impl SteadyClock {
    /// Returns the steady form of the [`SystemClock`].
    #[must_use]
    pub fn system() -> Self {
        static SYSTEM: OnceLock<SteadyClock> = OnceLock::new();
        SYSTEM.get_or_init(|| Self::new(SystemClock)).clone()
    }
}

impl<C: Clock> SteadyClock<C> {
    /// Creates the steady form of `clock`.
    pub fn new(clock: C) -> Self {
        Self {
            clock,
            latest: Arc::default(),
        }
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> SystemTime {
        /// By how much clocks are corrected in everyday operation.
        const CORRECTION: Duration = Duration::from_secs(2);

        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let mut next = Latest {
            now,
            uptime,
            was_set_back: false,
        };
        if let Some(before) = *latest {
            next.was_set_back = before.was_set_back;
            let expected = before.now + uptime.saturating_sub(before.uptime);
            if let Ok(behind) = expected.duration_since(now) {
                next.now = expected;
                if behind > CORRECTION && !before.was_set_back {
                    next.was_set_back = true;
                    tracing::warn!(
                        target: "human_check",
                        behind_s = behind.as_secs(),
                        "the system clock was set back; until it has caught up, or the program is \
                         restarted, times go on from the latest one"
                    );
                }
            }
        }
        *latest = Some(next);
        next.now
    }

    fn uptime(&self) -> Duration {
        self.clock.uptime()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that a test moves: time and uptime.
    #[derive(Debug)]
    struct Moved(Mutex<(SystemTime, Duration)>);

    impl Clock for Moved {
        fn now(&self) -> SystemTime {
            self.0.lock().unwrap().0
        }

        fn uptime(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }

    #[test]
    fn a_steady_clock_goes_on_while_the_other_is_behind() {
        let seconds = |n| SystemTime::UNIX_EPOCH + Duration::from_secs(n);
        let moved = Arc::new(Moved(Mutex::new((seconds(1_000), Duration::ZERO))));
        let steady = SteadyClock::new(Arc::clone(&moved));
        let at = |now, uptime| {
            *moved.0.lock().unwrap() = (seconds(now), Duration::from_secs(uptime));
            steady
                .now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        assert_eq!(at(1_000, 0), 1_000);
        assert_eq!(at(1_010, 10), 1_010);
        assert_eq!(at(100, 20), 1_020, "set back by 15 minutes");
        assert_eq!(at(110, 30), 1_030);
        assert_eq!(
            steady.clone().now(),
            seconds(1_030),
            "clones share the time"
        );
        assert_eq!(at(2_000, 40), 2_000, "set right, and forward");
        assert_eq!(at(2_009, 50), 2_010);
    }

    #[test]
    fn the_steady_system_clock_is_one_for_the_process() {
        let one = SteadyClock::system();
        assert!(Arc::ptr_eq(&one.latest, &SteadyClock::system().latest));
        assert!(one.now() <= SteadyClock::system().now());
    }
}
