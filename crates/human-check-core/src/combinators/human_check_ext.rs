#[cfg(feature = "tokio")]
use std::time::Duration;

use crate::{
    CircuitBreaker, CircuitBreakerPolicy, ConcurrencyLimit, ConfigError, DualAccept, Enforce,
    Failover, HumanCheck, Policy,
};
#[cfg(feature = "tokio")]
use crate::{ComparisonSink, RetryUnsent, Shadow, Timeout};
#[cfg(feature = "replay")]
use crate::{ReplayGuard, ReplayStore};

/// Ways to wrap a check in another, available on every [`HumanCheck`].
///
/// Reading order is calling order.
pub trait HumanCheckExt: HumanCheck + Sized {
    /// Holds every human verdict to `policy`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy asks for a fact that this check does not report.
    fn enforce(self, policy: Policy) -> Result<Enforce<Self>, ConfigError> {
        Enforce::new(self, policy)
    }

    /// Asks `second` where this check is unavailable. Failover, for visitors who sent both answers.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers.
    fn failover_to<B: HumanCheck>(self, second: B) -> Result<Failover<Self, B>, ConfigError> {
        Failover::new(self, second)
    }

    /// Still accepts the answers of an `old` check beside this one's.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers.
    fn dual_accept<O: HumanCheck>(self, old: O) -> Result<DualAccept<Self, O>, ConfigError> {
        DualAccept::new(self, old)
    }

    /// Stops asking while this check fails or is slow.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy makes no sense.
    fn circuit_breaker(
        self,
        policy: CircuitBreakerPolicy,
    ) -> Result<CircuitBreaker<Self>, ConfigError> {
        CircuitBreaker::new(self, policy)
    }

    /// Lets at most so many checks be under way at once.
    fn concurrency_limit(self, max_in_flight: usize) -> ConcurrencyLimit<Self> {
        ConcurrencyLimit::new(self, max_in_flight)
    }

    /// Gives up after so long.
    #[cfg(feature = "tokio")]
    fn timeout(self, after: Duration) -> Timeout<Self> {
        Timeout::new(self, after)
    }

    /// Asks again where nothing was sent.
    #[cfg(feature = "tokio")]
    fn retry_unsent(self) -> RetryUnsent<Self> {
        RetryUnsent::new(self)
    }

    /// Compares this check's verdicts with those of `second`, and tells `sink`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both accept the same provider's answers.
    #[cfg(feature = "tokio")]
    fn shadow<B: HumanCheck, S: ComparisonSink>(
        self,
        second: B,
        sink: S,
    ) -> Result<Shadow<Self, B, S>, ConfigError> {
        Shadow::new(self, second, sink)
    }

    /// Lets each token pass once.
    #[cfg(feature = "replay")]
    fn replay_guard<S: ReplayStore>(self, store: S) -> ReplayGuard<Self, S> {
        ReplayGuard::new(self, store)
    }
}

impl<C: HumanCheck> HumanCheckExt for C {}
