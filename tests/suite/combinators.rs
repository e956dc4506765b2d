//! The published suite over every combinator.

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

/// A check made of Turnstile and hCaptcha, whose providers fail together. Good submissions carry the
/// answer of `provider`.
async fn composed<C: HumanCheck>(
    provider: &'static str,
    compose: impl FnOnce(Shared, Shared) -> C,
) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let client = impatient_client();
    let of = |kind| Arc::from(check(kind, &emulator, &client));
    let check = compose(of(ProviderKind::Turnstile), of(ProviderKind::Hcaptcha));
    fixture(emulator, check, provider)
}

async fn around<C: HumanCheck>(compose: impl FnOnce(Shared) -> C) -> Fixture {
    composed("turnstile", |turnstile, _| compose(turnstile)).await
}

/// One that stays closed through the few failures of the suite.
fn patient() -> CircuitBreakerPolicy {
    let mut policy = CircuitBreakerPolicy::default();
    policy.consecutive_failures = 1_000;
    policy.min_calls = 1_000;
    policy
}

#[derive(Debug)]
struct Nowhere;

impl ComparisonSink for Nowhere {
    fn record(&self, _: Comparison) {}
}

const SECONDS: Duration = Duration::from_secs(5);

async fn failover() -> Fixture {
    composed("turnstile", |first, second| {
        first.failover_to(second).unwrap()
    })
    .await
}

async fn accept_new() -> Fixture {
    composed("turnstile", |new, old| new.dual_accept(old).unwrap()).await
}

async fn accept_old() -> Fixture {
    composed("hcaptcha", |new, old| {
        Swapped::new(new.dual_accept(old).unwrap())
    })
    .await
}

async fn shadow() -> Fixture {
    composed("turnstile", |first, second| {
        first.shadow(second, Nowhere).unwrap()
    })
    .await
}

async fn single_use() -> Fixture {
    around(|check| check.replay_guard(MemoryReplayStore::new(1_000))).await
}

async fn deadline() -> Fixture {
    around(|check| check.timeout(SECONDS)).await
}

async fn breaker() -> Fixture {
    around(|check| check.circuit_breaker(patient()).unwrap()).await
}

async fn limit() -> Fixture {
    around(|check| check.concurrency_limit(1_000)).await
}

async fn retry() -> Fixture {
    around(HumanCheckExt::retry_unsent).await
}

async fn whole_stack() -> Fixture {
    composed("turnstile", |first, second| {
        let watched = |check: Shared| {
            let limited = check.timeout(SECONDS).concurrency_limit(1_000);
            limited.circuit_breaker(patient()).unwrap()
        };
        let policy = Policy::new().with_hostnames([HOST]).unwrap();
        let check = watched(first).failover_to(watched(second)).unwrap();
        let enforced = check.enforce(policy).unwrap();
        enforced.replay_guard(MemoryReplayStore::new(1_000))
    })
    .await
}

conformance!(through_failover, super::failover());
conformance!(through_accept_new, super::accept_new());
conformance!(through_accept_old, super::accept_old());
conformance!(through_shadow, super::shadow());
conformance!(through_single_use, super::single_use());
conformance!(through_deadline, super::deadline());
conformance!(through_breaker, super::breaker());
conformance!(through_limit, super::limit());
conformance!(through_retry, super::retry());
conformance!(through_whole_stack, super::whole_stack());

/// Names the second provider first, since the suite's bad submissions are for the first.
#[derive(Debug)]
struct Swapped<C> {
    check: C,
    accepts: Vec<human_check_core::Provider>,
}

impl<C: HumanCheck> Swapped<C> {
    fn new(check: C) -> Self {
        let mut accepts = check.providers().to_vec();
        accepts.reverse();
        Self { check, accepts }
    }
}

#[human_check_core::adapter::async_trait]
impl<C: HumanCheck> HumanCheck for Swapped<C> {
    fn providers(&self) -> &[human_check_core::Provider] {
        &self.accepts
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
