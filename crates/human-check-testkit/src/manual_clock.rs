use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_core::Clock;

/// A clock that stands still until the test moves it.
///
/// Use it where a check, a guard or the emulator takes a [`Clock`], to test ttls and windows
/// without waiting. Clones share one time, so the test keeps a clone and moves it.
///
/// ```
/// use human_check_core::Clock;
/// use human_check_testkit::ManualClock;
/// use std::time::Duration;
///
/// let clock = ManualClock::starting_now();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(300));
/// assert_eq!(clock.now().duration_since(before).unwrap().as_secs(), 300);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(
    /// Time and uptime.
    Arc<Mutex<(SystemTime, Duration)>>,
);

impl ManualClock {
    /// Creates a clock that shows `time`, with an uptime of zero.
    pub fn starting_at(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new((time, Duration::ZERO))))
    }

    /// Creates a clock that shows the present time of the operating system, with an uptime of zero.
    pub fn starting_now() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Moves time and uptime forward.
    pub fn advance(&self, by: Duration) {
        let mut time = self.lock();
        time.0 += by;
        time.1 += by;
    }

    /// Sets the time, as a time server does when it corrects a clock. `time` may be in the past.
    /// The uptime does not change.
    pub fn set(&self, time: SystemTime) {
        self.lock().0 = time;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (SystemTime, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.lock().0
    }

    fn uptime(&self) -> Duration {
        self.lock().1
    }
}
