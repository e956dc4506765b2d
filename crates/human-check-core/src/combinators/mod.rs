//! Combinators: checks around one or two other checks, one file for each.

mod circuit_breaker;
mod circuit_breaker_policy;
mod circuit_state;
mod comparison;
mod concurrency_limit;
mod dual_accept;
mod enforce;
mod failover;
mod human_check_ext;
#[cfg(feature = "replay")]
mod replay_guard;
#[cfg(feature = "tokio")]
mod retry_unsent;
#[cfg(feature = "tokio")]
mod shadow;
#[cfg(feature = "tokio")]
mod timeout;

pub use circuit_breaker::CircuitBreaker;
pub use circuit_breaker_policy::CircuitBreakerPolicy;
pub use comparison::{Comparison, ComparisonSink, Observation, ObservedOutcome};
pub use concurrency_limit::ConcurrencyLimit;
pub use dual_accept::{DualAccept, DualAcceptCounts};
pub use enforce::Enforce;
pub use failover::Failover;
pub use human_check_ext::HumanCheckExt;
#[cfg(feature = "replay")]
pub use replay_guard::ReplayGuard;
#[cfg(feature = "tokio")]
pub use retry_unsent::RetryUnsent;
#[cfg(feature = "tokio")]
pub use shadow::Shadow;
#[cfg(feature = "tokio")]
pub use timeout::Timeout;
