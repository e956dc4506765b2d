//! Runs the conformance suite of `human-check-testkit` on every combinator.

use std::sync::Arc;
use std::time::Duration;

use human_check_config::ProviderKind;
use human_check_core::{
    CircuitBreakerPolicy, Comparison, ComparisonSink, HumanCheck, HumanCheckExt, MemoryReplayStore,
    Policy,
};
use human_check_emulator::Emulator;
use human_check_testkit::conformance;
use human_check_testkit::conformance::Fixture;

use crate::conformance::fixture;
use crate::support::{HOST, check, impatient_client};

type Shared = Arc<dyn HumanCheck>;

/// Builds a check of Turnstile and hCaptcha, which fail together. Valid submissions have a token of
/// `provider`.
async fn composed<C: HumanCheck>(
    provider: &'static str,
    compose: impl FnOnce(Shared, Shared) -> C,
) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let client = impatient_client();
    let check_of = |kind| Arc::from(check(kind, &emulator, &client));
    let check = compose(
        check_of(ProviderKind::Turnstile),
        check_of(ProviderKind::Hcaptcha),
    );
    fixture(emulator, check, provider)
}

/// Builds a check around Turnstile alone.
async fn around<C: HumanCheck>(compose: impl FnOnce(Shared) -> C) -> Fixture {
    composed("turnstile", |turnstile, _| compose(turnstile)).await
}

/// A policy under which the circuit breaker stays closed during the suite.
fn tolerant_policy() -> CircuitBreakerPolicy {
    let mut policy = CircuitBreakerPolicy::default();
    policy.consecutive_failures = 1_000;
    policy.min_calls = 1_000;
    policy
}

/// Discards comparisons.
#[derive(Debug)]
struct DiscardSink;

impl ComparisonSink for DiscardSink {
    fn record(&self, _: Comparison) {}

    fn lost(&self, _: &'static str) {}
}

const TIMEOUT: Duration = Duration::from_secs(5);

async fn failover() -> Fixture {
    composed("turnstile", |first, second| {
        first.failover_to(second).unwrap()
    })
    .await
}

async fn dual_accept_new() -> Fixture {
    composed("turnstile", |new, old| new.dual_accept(old).unwrap()).await
}

async fn dual_accept_old() -> Fixture {
    composed("hcaptcha", |new, old| {
        ReversedProviders::new(new.dual_accept(old).unwrap())
    })
    .await
}

async fn shadow() -> Fixture {
    composed("turnstile", |first, second| {
        first.shadow(second, DiscardSink).unwrap()
    })
    .await
}

async fn replay_guard() -> Fixture {
    around(|check| check.replay_guard(MemoryReplayStore::new(1_000))).await
}

async fn timeout() -> Fixture {
    around(|check| check.timeout(TIMEOUT)).await
}

async fn circuit_breaker() -> Fixture {
    around(|check| check.circuit_breaker(tolerant_policy()).unwrap()).await
}

async fn concurrency_limit() -> Fixture {
    around(|check| check.concurrency_limit(1_000)).await
}

async fn retry_unsent() -> Fixture {
    around(HumanCheckExt::retry_unsent).await
}

async fn whole_stack() -> Fixture {
    composed("turnstile", |first, second| {
        let protected = |check: Shared| {
            let limited = check.timeout(TIMEOUT).concurrency_limit(1_000);
            limited.circuit_breaker(tolerant_policy()).unwrap()
        };
        let policy = Policy::new().with_hostnames([HOST]).unwrap();
        let check = protected(first).failover_to(protected(second)).unwrap();
        let enforced = check.enforce(policy).unwrap();
        enforced.replay_guard(MemoryReplayStore::new(1_000))
    })
    .await
}

conformance!(through_failover, super::failover());
conformance!(through_dual_accept_new, super::dual_accept_new());
conformance!(through_dual_accept_old, super::dual_accept_old());
conformance!(through_shadow, super::shadow());
conformance!(through_replay_guard, super::replay_guard());
conformance!(through_timeout, super::timeout());
conformance!(through_circuit_breaker, super::circuit_breaker());
conformance!(through_concurrency_limit, super::concurrency_limit());
conformance!(through_retry_unsent, super::retry_unsent());
conformance!(through_whole_stack, super::whole_stack());

/// Lists the providers in reverse order, because the suite makes its invalid submissions for the
/// first.
#[derive(Debug)]
struct ReversedProviders<C> {
    check: C,
    providers: Vec<human_check_core::Provider>,
}

impl<C: HumanCheck> ReversedProviders<C> {
    fn new(check: C) -> Self {
        let mut providers = check.providers().to_vec();
        providers.reverse();
        Self { check, providers }
    }
}

#[human_check_core::adapter::async_trait]
impl<C: HumanCheck> HumanCheck for ReversedProviders<C> {
    fn providers(&self) -> &[human_check_core::Provider] {
        &self.providers
    }

    fn capabilities(&self) -> human_check_core::Capabilities {
        self.check.capabilities()
    }

    async fn check(
        &self,
        submission: &human_check_core::Submission,
    ) -> Result<human_check_core::Verdict, human_check_core::CheckError> {
        self.check.check(submission).await
    }
}
