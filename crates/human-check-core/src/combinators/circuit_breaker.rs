use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::circuit_breaker_policy::CircuitBreakerPolicy;
use super::circuit_state::{Change, Permit, Signal, State};
use crate::check::is_local;
use crate::counter::{count, set};
use crate::random::fraction;
use crate::report::count_check;
use crate::sync::{Mutex, lock};
use crate::{
    Capabilities, CheckError, Clock, ConfigError, ErrorKind, Health, HumanCheck, Provider,
    Submission, SystemClock, Verdict,
};

/// A check with a circuit breaker: it is not called while its provider is down or slow.
///
/// Use it where visitors would otherwise wait for the timeout of every call during an outage. The
/// circuit has three states:
///
/// - **closed**: every submission goes to the check.
/// - **open**: the check is not called. Each submission ends in [`ErrorKind::Unavailable`] with the
///   reason `circuit-open`, the time left as [`CheckError::retry_after`], and the token unused. A
///   missing or malformed token is refused as usual.
/// - **half-open**, after [`CircuitBreakerPolicy::open_for`]: one call, the breaker probe, goes to
///   the check. If the provider replies in time the circuit closes, otherwise it opens again for
///   longer.
///
/// ```
/// use human_check_core::{CircuitBreaker, CircuitBreakerPolicy, ConfigError, HumanCheck};
///
/// fn protected(check: impl HumanCheck) -> Result<impl HumanCheck, ConfigError> {
///     CircuitBreaker::new(check, CircuitBreakerPolicy::default())
/// }
/// ```
///
/// Only [`ErrorKind::Unavailable`] and slow calls count against the check. Nothing counts that a
/// visitor can cause: a refusal, a malformed token, an invalid reply, an exhausted quota, a limited
/// rate. A refusal
/// without a call does not count as a success either. A result of the check is never changed.
///
/// With the feature `metrics` it counts
/// `human_check_circuit_breaker_changes_total{provider,state}`, sets
/// `human_check_circuit_open{provider}`, and adds each call that it ends to
/// `human_check_checks_total`. An event of the target
/// `human_check` states each change.
///
/// Dropping its future drops the future of the check. That counts as slow if the call already was
/// slow, so a shorter timeout around the circuit breaker hides no slow provider. Otherwise it does
/// not count. A probe that is dropped admits two further probes, so a client that disconnects
/// during each probe cannot keep the circuit open for other visitors.
#[derive(Clone)]
pub struct CircuitBreaker<C> {
    check: C,
    policy: CircuitBreakerPolicy,
    state: Arc<Mutex<State>>,
    opened: Arc<OpenGauge>,
    clock: Arc<dyn Clock>,
}

/// The provider for which the gauge says that the circuit is open.
#[derive(Default)]
struct OpenGauge(Mutex<Option<Provider>>);

impl Drop for OpenGauge {
    /// A circuit breaker that is no longer used, as after a change of the configuration, has no open
    /// circuit.
    fn drop(&mut self) {
        if let Some(provider) = lock(&self.0).take() {
            set!("human_check_circuit_open", 0.0, "provider" => provider.name());
        }
    }
}

impl<C: HumanCheck> CircuitBreaker<C> {
    /// Creates a circuit breaker around `check`. Its clones share one circuit.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a value of the policy is outside its range; see [`CircuitBreakerPolicy`].
    pub fn new(check: C, policy: CircuitBreakerPolicy) -> Result<Self, ConfigError> {
        policy.validate()?;
        for provider in check.providers() {
            // Another circuit breaker that this one replaces may have left the gauge at 1.
            set!("human_check_circuit_open", 0.0, "provider" => provider.name());
        }
        Ok(Self {
            check,
            policy,
            state: Arc::new(Mutex::new(State::new(policy))),
            opened: Arc::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the clock that measures calls and times of opening. Default [`SystemClock`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns what the result of a call means for the state of the provider.
    fn signal(&self, outcome: &Result<Verdict, CheckError>, took: Duration) -> Signal {
        match outcome {
            Err(error) if error.kind() == ErrorKind::Unavailable => return Signal::Failed,
            // A concurrency limit inside, or another error before the call, does not concern the
            // provider.
            Err(error) if !error.token_may_be_used() => return Signal::Neutral,
            Err(_) => return Signal::Replied,
            Ok(Verdict::NotHuman(refusal)) if is_local(refusal.reason()) => return Signal::Neutral,
            Ok(_) => {}
        }
        if took >= self.policy.slow_call {
            Signal::Slow
        } else {
            Signal::Good
        }
    }
}

/// A call in flight. When it is dropped it reports its result to the state.
struct Call<'a, C: HumanCheck> {
    breaker: &'a CircuitBreaker<C>,
    submission: &'a Submission,
    permit: Permit,
    since: Duration,
    signal: Option<Signal>,
}

impl<C: HumanCheck> Call<'_, C> {
    /// Returns how long the call has taken so far.
    fn took(&self) -> Duration {
        self.breaker.clock.uptime().saturating_sub(self.since)
    }
}

impl<C: HumanCheck> Drop for Call<'_, C> {
    fn drop(&mut self) {
        let signal = self.signal.unwrap_or_else(|| {
            if self.took() >= self.breaker.policy.slow_call {
                Signal::Slow
            } else {
                Signal::Dropped
            }
        });
        let now = self.breaker.clock.uptime();
        let jitter = fraction();
        let change = lock(&self.breaker.state).report(self.permit, signal, now, jitter);
        let addressed_to = self.submission.addressed_to(self.breaker.providers());
        let provider = addressed_to.name();
        match change {
            None => {}
            Some(Change::Opened { reason, wait }) => {
                count!("human_check_circuit_breaker_changes_total", "provider" => provider, "state" => "open");
                *lock(&self.breaker.opened.0) = Some(addressed_to.clone());
                set!("human_check_circuit_open", 1.0, "provider" => provider);
                tracing::warn!(
                    target: "human_check",
                    provider,
                    reason,
                    wait_ms = wait.as_millis() as u64,
                    "circuit breaker opened"
                );
            }
            Some(Change::Closed) => {
                count!("human_check_circuit_breaker_changes_total", "provider" => provider, "state" => "closed");
                lock(&self.breaker.opened.0).take();
                set!("human_check_circuit_open", 0.0, "provider" => provider);
                tracing::info!(target: "human_check", provider, "circuit breaker closed");
            }
        }
    }
}

#[async_trait]
impl<C: HumanCheck> HumanCheck for CircuitBreaker<C> {
    fn providers(&self) -> &[Provider] {
        self.check.providers()
    }

    fn capabilities(&self) -> Capabilities {
        self.check.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let now = self.clock.uptime();
        let admitted = lock(&self.state).admit(now);
        let permit = match admitted {
            Ok(permit) => permit,
            Err(wait) => {
                if let Err(refusal) = submission.precheck(self.providers()) {
                    return Ok(refusal.into());
                }
                let addressed_to = submission.addressed_to(self.providers());
                count_check(addressed_to, "unavailable", "circuit-open");
                let error = CheckError::new(ErrorKind::Unavailable, addressed_to, "circuit-open");
                return Err(error.with_retry_after(Some(wait)).with_token_unused());
            }
        };
        let mut call = Call {
            breaker: self,
            submission,
            permit,
            since: now,
            signal: None,
        };
        let outcome = self.check.check(submission).await;
        call.signal = Some(self.signal(&outcome, call.took()));
        outcome
    }

    /// Probes the check, also while the circuit is open. If the provider is up, an open circuit
    /// becomes half-open.
    async fn probe_health(&self) -> Health {
        let health = self.check.probe_health().await;
        if health.is_up() {
            lock(&self.state).half_open();
        }
        health
    }
}

impl<C: fmt::Debug> fmt::Debug for CircuitBreaker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("check", &self.check)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
