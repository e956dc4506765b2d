use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Tells the time, so that ages and lifetimes are tested without waiting.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present moment, as calendars and providers count it. It may be set back.
    fn now(&self) -> SystemTime;

    /// The time since some moment in the past. It never goes back, so lifetimes and windows are
    /// measured by it.
    fn uptime(&self) -> Duration;
}

/// The clock of the operating system.
///
/// On `wasm32-unknown-unknown` there is none and reading it panics; pass a [`Clock`] of your own there.
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

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }
}
