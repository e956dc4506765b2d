use std::fmt::Debug;
use std::time::SystemTime;

/// Tells the time, so that ages and lifetimes are tested without waiting.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> SystemTime;
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
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}
