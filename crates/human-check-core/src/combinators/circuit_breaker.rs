use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::circuit_breaker_policy::CircuitBreakerPolicy;
use super::circuit_state::{Change, Permit, Signal, State};
use crate::counter::count;
use crate::random::fraction;
use crate::sync::{Mutex, lock};
use crate::{
    Capabilities, CheckError, Clock, ConfigError, ErrorKind, HumanCheck, Provider, Reason,
    Submission, SystemClock, Verdict,
};

/// Stops asking a check that fails or has become slow, and tries it again later.
///
/// May answer [`ErrorKind::Unavailable`] (`circuit-open`) in the check's place. Never changes what the
/// check says. While it is open, what a visitor forgot or garbled is refused all the same, and the
/// error says that the token was not spent.
///
/// What counts against the check is [`ErrorKind::Unavailable`] and the time it takes. Nothing that a
/// visitor can bring about does: not a refusal, a malformed token, nonsense in an answer, or a spent
/// quota; and what is refused without asking anybody does not count in its favour either.
///
/// Dropping its future drops the check's. That counts as slow where it already was, so that a shorter
/// deadline outside hides nothing, and as nothing otherwise. A probe that is dropped makes room for
/// two, so that somebody who hangs up on every probe does not keep the provider away from all others.
#[derive(Clone)]
pub struct CircuitBreaker<C> {
    check: C,
    policy: CircuitBreakerPolicy,
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl<C: HumanCheck> CircuitBreaker<C> {
    /// Watches over `check`. Clones watch together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the policy would open without a failure, or makes no sense.
    pub fn new(check: C, policy: CircuitBreakerPolicy) -> Result<Self, ConfigError> {
        policy.validate()?;
        Ok(Self {
            check,
            policy,
            state: Arc::new(Mutex::new(State::new(policy))),
            clock: Arc::new(SystemClock),
        })
    }

    /// Measures by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn signal(&self, outcome: &Result<Verdict, CheckError>, took: Duration) -> Signal {
        match outcome {
            Err(error) if error.kind() == ErrorKind::Unavailable => return Signal::Failed,
            // A limit inside, or a token that was never asked about, says nothing of the provider.
            Err(error) if !error.token_may_be_used() => return Signal::Nothing,
            Err(_) => return Signal::Spoke,
            Ok(Verdict::NotHuman(refusal)) if is_local(refusal.reason()) => return Signal::Nothing,
            Ok(_) => {}
        }
        if took >= self.policy.slow_call {
            Signal::Slow
        } else {
            Signal::Good
        }
    }
}

/// Rejection without asking anybody.
fn is_local(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Malformed | Reason::Missing | Reason::UnverifiableToken
    )
}

/// A call under way. Capabilities when dropped.
struct Call<'a, C: HumanCheck> {
    breaker: &'a CircuitBreaker<C>,
    submission: &'a Submission,
    permit: Permit,
    since: Duration,
    signal: Option<Signal>,
}

impl<C: HumanCheck> Call<'_, C> {
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
        let provider = self
            .submission
            .addressed_to(self.breaker.providers())
            .name();
        match change {
            None => {}
            Some(Change::Opened { reason, wait }) => {
                count!("human_check_circuit_breaker_changes_total", "provider" => provider, "state" => "open");
                tracing::warn!(
                    target: "human_check",
                    provider,
                    reason,
                    wait_ms = wait.as_millis() as u64,
                    "breaker opened"
                );
            }
            Some(Change::Closed) => {
                count!("human_check_circuit_breaker_changes_total", "provider" => provider, "state" => "closed");
                tracing::info!(target: "human_check", provider, "breaker closed");
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
}

impl<C: fmt::Debug> fmt::Debug for CircuitBreaker<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("check", &self.check)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
