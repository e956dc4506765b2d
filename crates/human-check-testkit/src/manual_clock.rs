use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_core::Clock;

/// A clock that stands still until it is moved. Clones are the same clock.
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
pub struct ManualClock(Arc<Mutex<(SystemTime, Duration)>>);

impl ManualClock {
    /// A clock that shows `time`.
    pub fn starting_at(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new((time, Duration::ZERO))))
    }

    /// A clock that shows the present.
    pub fn starting_now() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let mut shows = self.lock();
        shows.0 += by;
        shows.1 += by;
    }

    /// Corrects the calendar, as a time server does; what was measured goes on.
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
