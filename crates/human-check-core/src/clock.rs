use std::fmt::Debug;
use std::sync::OnceLock;
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

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn uptime(&self) -> Duration {
        (**self).uptime()
    }
}
