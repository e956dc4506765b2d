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

/// The combinators as methods of every [`HumanCheck`].
///
/// Each method wraps the check in another one and returns that. The order of the methods is the
/// order in which the checks act: the first method is the innermost.
///
/// ```
/// use human_check_core::{
///     CircuitBreakerPolicy, ConfigError, HumanCheck, HumanCheckExt, Policy,
/// };
///
/// fn compose(
///     turnstile: impl HumanCheck,
///     hcaptcha: impl HumanCheck,
/// ) -> Result<impl HumanCheck, ConfigError> {
///     turnstile
///         .circuit_breaker(CircuitBreakerPolicy::default())?
///         .failover_to(hcaptcha)?
///         .enforce(Policy::new().with_hostnames(["www.example.com"])?)
/// }
/// ```
pub trait HumanCheckExt: HumanCheck + Sized {
    /// Applies `policy` to every human verdict; see [`Enforce`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the policy requires a fact that this check never reports.
    fn enforce(self, policy: Policy) -> Result<Enforce<Self>, ConfigError> {
        Enforce::new(self, policy)
    }

    /// Calls `second` if this check is unavailable and the visitor sent a token for `second`; see
    /// [`Failover`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider.
    fn failover_to<B: HumanCheck>(self, second: B) -> Result<Failover<Self, B>, ConfigError> {
        Failover::new(self, second)
    }

    /// Also accepts the tokens of the `old` check, for a migration to this one; see [`DualAccept`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider.
    fn dual_accept<O: HumanCheck>(self, old: O) -> Result<DualAccept<Self, O>, ConfigError> {
        DualAccept::new(self, old)
    }

    /// Stops calling this check while its provider is down or slow; see [`CircuitBreaker`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a value of the policy is outside its range.
    fn circuit_breaker(
        self,
        policy: CircuitBreakerPolicy,
    ) -> Result<CircuitBreaker<Self>, ConfigError> {
        CircuitBreaker::new(self, policy)
    }

    /// Limits the number of calls in flight. Those beyond it are declined; see
    /// [`ConcurrencyLimit`].
    fn concurrency_limit(self, max_in_flight: usize) -> ConcurrencyLimit<Self> {
        ConcurrencyLimit::new(self, max_in_flight)
    }

    /// Fails with `Unavailable` if this check takes longer than `after`; see [`Timeout`].
    #[cfg(feature = "tokio")]
    fn timeout(self, after: Duration) -> Timeout<Self> {
        Timeout::new(self, after)
    }

    /// Calls this check once more if the provider did not receive the token; see [`RetryUnsent`].
    #[cfg(feature = "tokio")]
    fn retry_unsent(self) -> RetryUnsent<Self> {
        RetryUnsent::new(self)
    }

    /// Compares the verdicts of this check with those of `second`, without effect on the result;
    /// see [`Shadow`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if both checks accept tokens of one provider.
    #[cfg(feature = "tokio")]
    fn shadow<B: HumanCheck, S: ComparisonSink>(
        self,
        second: B,
        sink: S,
    ) -> Result<Shadow<Self, B, S>, ConfigError> {
        Shadow::new(self, second, sink)
    }

    /// Claims each token that passes in `store`, so that it passes once; see [`ReplayGuard`].
    #[cfg(feature = "replay")]
    fn replay_guard<S: ReplayStore>(self, store: S) -> ReplayGuard<Self, S> {
        ReplayGuard::new(self, store)
    }
}

impl<C: HumanCheck> HumanCheckExt for C {}
