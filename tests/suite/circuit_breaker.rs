//! When the circuit breaker opens, when it closes, and that visitors cannot open it.

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{
    Capabilities, CheckError, CircuitBreaker, CircuitBreakerPolicy, ErrorKind, Facts, HumanCheck,
    HumanCheckExt, Provider, Reason, Submission, Verdict,
};
use human_check_testkit::{ManualClock, SCRIPTED, Scripted};

fn token() -> Submission {
    Submission::new().with_token(&SCRIPTED, "a-token")
}

/// Adds a circuit breaker with the default policy and a manual clock.
fn with_breaker<C: HumanCheck>(check: C) -> (CircuitBreaker<C>, ManualClock) {
    let clock = ManualClock::starting_now();
    let breaker = check
        .circuit_breaker(CircuitBreakerPolicy::default())
        .unwrap();
    (breaker.with_clock(clock.clone()), clock)
}

#[tokio::test]
async fn five_failures_open_it_and_it_then_makes_no_call() {
    let provider = Scripted::unavailable();
    let (check, _clock) = with_breaker(provider.clone());
    for _ in 0..1_000 {
        let error = check.check(&token()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(provider.submissions().len(), 5);
    let error = check.check(&token()).await.unwrap_err();
    assert_eq!(error.reason(), "circuit-open");
    assert!(error.retry_after().is_some() && !error.token_may_be_used());
}

#[tokio::test]
async fn while_it_is_open_malformed_tokens_are_still_refused() {
    let (check, _clock) = with_breaker(Scripted::unavailable());
    for _ in 0..5 {
        let _ = check.check(&token()).await;
    }
    let long = "a".repeat(20_000);
    let contradicting = token().with_token(&SCRIPTED, "another");
    for (submission, reason) in [
        (Submission::new(), Reason::Missing),
        (Submission::new().with_token(&SCRIPTED, ""), Reason::Missing),
        (
            Submission::new().with_token(&SCRIPTED, "a b"),
            Reason::Malformed,
        ),
        (
            Submission::new().with_token(&SCRIPTED, long),
            Reason::Malformed,
        ),
        (contradicting, Reason::Malformed),
    ] {
        let verdict = check.check(&submission).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason(), reason);
    }
}

#[tokio::test]
async fn bots_cannot_open_it() {
    for provider in [
        Scripted::refused(Reason::Invalid),
        Scripted::refused(Reason::Malformed),
        Scripted::refused(Reason::Missing),
        Scripted::refused(Reason::Replayed),
        Scripted::protocol(),
        Scripted::declined(),
        Scripted::misconfigured(),
    ] {
        let (check, _clock) = with_breaker(provider.clone());
        for _ in 0..10_000 {
            let outcome = check.check(&token()).await;
            assert!(!outcome.is_err_and(|e| e.kind() == ErrorKind::Unavailable));
        }
        assert_eq!(provider.submissions().len(), 10_000);
    }
}

#[tokio::test]
async fn bots_cannot_hide_an_outage_behind_refusals_without_a_call() {
    let provider = Scripted::from_script(|submission| match submission.token_for(&SCRIPTED, 100) {
        Ok(_) => Err(CheckError::new(ErrorKind::Unavailable, &SCRIPTED, "down")),
        Err(refusal) => Ok(refusal.into()),
    });
    let (check, _clock) = with_breaker(provider);
    for _ in 0..4 {
        check.check(&token()).await.unwrap_err();
        for _ in 0..100 {
            assert!(check.check(&Submission::new()).await.is_ok());
        }
    }
    check.check(&token()).await.unwrap_err();
    assert_eq!(
        check.check(&token()).await.unwrap_err().reason(),
        "circuit-open"
    );
}

/// A check that accepts every token and advances the manual clock by `latency`.
#[derive(Debug)]
struct Slow {
    clock: ManualClock,
    latency: Duration,
}

#[human_check_core::adapter::async_trait]
impl HumanCheck for Slow {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SCRIPTED)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        self.clock.advance(self.latency);
        Ok(Verdict::Human(Facts::new(&SCRIPTED)))
    }
}

#[tokio::test]
async fn a_provider_that_replies_too_slowly_opens_it() {
    let clock = ManualClock::starting_now();
    let slow = |millis| Slow {
        clock: clock.clone(),
        latency: Duration::from_millis(millis),
    };
    let mut policy = CircuitBreakerPolicy::default();
    policy.window = Duration::from_secs(120);
    let check = slow(1_500)
        .circuit_breaker(policy)
        .unwrap()
        .with_clock(clock.clone());
    for _ in 0..20 {
        assert!(check.check(&token()).await.unwrap().is_human());
    }
    assert_eq!(
        check.check(&token()).await.unwrap_err().reason(),
        "circuit-open"
    );
    let check = slow(1_499)
        .circuit_breaker(policy)
        .unwrap()
        .with_clock(clock.clone());
    for _ in 0..100 {
        assert!(check.check(&token()).await.unwrap().is_human());
    }
}

#[tokio::test]
async fn it_recovers_by_itself_with_one_probe() {
    let provider = (0..5).fold(Scripted::unavailable(), |script, n| match n {
        0 => script,
        _ => script.then(&Scripted::unavailable()),
    });
    let provider = provider.then(&Scripted::human());
    let (check, clock) = with_breaker(provider.clone());
    for _ in 0..6 {
        assert!(check.check(&token()).await.is_err());
    }
    clock.advance(Duration::from_millis(5_500));
    assert!(
        check.check(&token()).await.unwrap().is_human(),
        "the breaker probe"
    );
    for _ in 0..50 {
        assert!(
            check.check(&token()).await.unwrap().is_human(),
            "it stays closed"
        );
    }
}

#[tokio::test]
async fn a_provider_that_replies_with_errors_again_is_not_reported_as_unavailable() {
    for (recovered, kind) in [
        (Scripted::declined(), ErrorKind::Declined),
        (Scripted::misconfigured(), ErrorKind::Misconfigured),
        (Scripted::protocol(), ErrorKind::Protocol),
    ] {
        let down = Scripted::unavailable();
        let provider = (1..5).fold(down, |script, _| script.then(&Scripted::unavailable()));
        let (check, clock) = with_breaker(provider.then(&recovered));
        for _ in 0..5 {
            check.check(&token()).await.unwrap_err();
        }
        clock.advance(Duration::from_secs(6));
        for _ in 0..20 {
            assert_eq!(check.check(&token()).await.unwrap_err().kind(), kind);
        }
    }
}

/// A check that waits for a permit of the semaphore before it returns.
#[derive(Debug)]
struct Gated(Arc<tokio::sync::Semaphore>, Scripted);

#[human_check_core::adapter::async_trait]
impl HumanCheck for Gated {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SCRIPTED)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let outcome = self.1.check(submission).await;
        self.0.acquire().await.unwrap().forget();
        outcome
    }
}

#[tokio::test]
async fn of_a_hundred_at_once_one_is_the_probe_and_a_dropped_probe_makes_room() {
    let gate = Arc::new(tokio::sync::Semaphore::new(5));
    let provider = Scripted::unavailable();
    let (check, clock) = with_breaker(Gated(Arc::clone(&gate), provider.clone()));
    for _ in 0..5 {
        check.check(&token()).await.unwrap_err();
    }
    clock.advance(Duration::from_secs(6));
    let check = Arc::new(check);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let check = Arc::clone(&check);
        calls.spawn(async move { check.check(&token()).await.unwrap_err().reason() });
    }
    for _ in 0..99 {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), "circuit-open");
    }
    assert_eq!(
        provider.submissions().len(),
        6,
        "five failures and one breaker probe"
    );
    calls.shutdown().await;
    gate.add_permits(1);
    let error = check.check(&token()).await.unwrap_err();
    assert_eq!(error.reason(), "scripted-outage", "the next breaker probe");
}

#[test]
fn an_invalid_policy_is_refused() {
    type Change = fn(&mut CircuitBreakerPolicy);
    let changes: [Change; 7] = [
        |policy| policy.consecutive_failures = 0,
        |policy| policy.min_calls = 0,
        |policy| policy.failure_ratio = 0.0,
        |policy| policy.failure_ratio = f64::NAN,
        |policy| policy.slow_call = Duration::ZERO,
        |policy| policy.open_for = Duration::MAX,
        |policy| policy.max_open_for = Duration::ZERO,
    ];
    for change in changes {
        let mut policy = CircuitBreakerPolicy::default();
        change(&mut policy);
        assert!(
            Scripted::human().circuit_breaker(policy).is_err(),
            "{policy:?}"
        );
    }
}
