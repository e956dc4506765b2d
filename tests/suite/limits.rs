//! The limits of retries, of concurrent calls and of time, and the logging of a failing store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, CircuitBreakerPolicy, ClaimError, Claimed, ErrorKind, Facts,
    HumanCheck, HumanCheckExt, Provider, Reason, ReplayStore, Submission, TokenId, Verdict,
};
use human_check_testkit::Scripted;

static FIRST: Provider = Provider::new("first", &["first-response"]);

const TIMEOUT: Duration = Duration::from_secs(3);

fn token() -> Submission {
    Submission::new().with_token(&FIRST, "token")
}

fn kind(outcome: &Result<Verdict, CheckError>) -> Option<ErrorKind> {
    outcome.as_ref().err().map(CheckError::kind)
}

fn reason(outcome: &Result<Verdict, CheckError>) -> Option<Reason> {
    let verdict = outcome.as_ref().ok()?;
    verdict.refusal().map(human_check_core::Refusal::reason)
}

fn human() -> Scripted {
    Scripted::human_with(Facts::new(&FIRST)).with_provider(&FIRST)
}

fn unsent() -> CheckError {
    CheckError::new(ErrorKind::Unavailable, &FIRST, "connect").with_token_unused()
}

/// Polls a future once, without a runtime.
fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Poll<T> {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context)
}

/// A check that accepts `successes` tokens and then fails with [`unsent`]. It counts its calls.
fn failing_after(calls: &Arc<AtomicUsize>, successes: usize) -> Scripted {
    let calls = Arc::clone(calls);
    let play = move |_: &Submission| {
        if calls.fetch_add(1, Ordering::Relaxed) < successes {
            return Ok(Verdict::Human(Facts::new(&FIRST)));
        }
        Err(unsent())
    };
    Scripted::from_script(play).with_provider(&FIRST)
}

#[tokio::test(start_paused = true)]
async fn retries_are_at_most_a_tenth_of_the_calls_and_a_burst_of_ten() {
    let calls = Arc::new(AtomicUsize::new(0));
    let check = failing_after(&calls, 0).retry_unsent();
    for n in 1..=2_000 {
        let outcome = check.check(&token()).await;
        assert_eq!(kind(&outcome), Some(ErrorKind::Unavailable));
        assert!(calls.load(Ordering::Relaxed) <= n + n / 10 + 10, "{n}");
    }
    // The retries are made.
    assert!(calls.load(Ordering::Relaxed) >= 2_200);
}

#[tokio::test(start_paused = true)]
async fn a_burst_saved_up_in_quiet_times_is_no_larger() {
    let calls = Arc::new(AtomicUsize::new(0));
    let check = failing_after(&calls, 10_000).retry_unsent();
    for _ in 0..10_000 {
        assert!(check.check(&token()).await.unwrap().is_human());
    }
    for _ in 0..100 {
        assert!(check.check(&token()).await.is_err());
    }
    assert!(calls.load(Ordering::Relaxed) - 10_000 <= 100 + 10 + 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_sent_once_more_after_its_wait() {
    let inner = Scripted::from_script(|_| Err(unsent())).with_provider(&FIRST);
    let inner = inner.then(&human());
    let start = tokio::time::Instant::now();
    let outcome = inner.clone().retry_unsent().check(&token()).await;
    assert!(outcome.unwrap().is_human());
    let waited = start.elapsed().as_millis();
    assert!((50..=251).contains(&waited), "{waited} ms");
    assert_eq!(inner.submissions().len(), 2);
    // A request is sent again once only.
    let inner = Scripted::from_script(|_| Err(unsent())).with_provider(&FIRST);
    assert!(inner.clone().retry_unsent().check(&token()).await.is_err());
    assert_eq!(inner.submissions().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_sent_again() {
    type Error = fn() -> CheckError;
    let errors: [Error; 6] = [
        // The request may have been sent.
        || CheckError::new(ErrorKind::Unavailable, &FIRST, "reset"),
        // The provider requested no call before this time.
        || unsent().with_retry_after(Some(Duration::from_secs(7))),
        || CheckError::new(ErrorKind::Declined, &FIRST, "quota").with_token_unused(),
        || CheckError::new(ErrorKind::Misconfigured, &FIRST, "secret").with_token_unused(),
        || CheckError::new(ErrorKind::Protocol, &FIRST, "invalid-reply").with_token_unused(),
        || CheckError::new(ErrorKind::StoreUnavailable, &FIRST, "store").with_token_unused(),
    ];
    for error in errors {
        let inner = Scripted::from_script(move |_| Err(error())).with_provider(&FIRST);
        assert!(inner.clone().retry_unsent().check(&token()).await.is_err());
        assert_eq!(inner.submissions().len(), 1, "{}", error());
    }
    for inner in [human(), Scripted::refused(Reason::Invalid)] {
        assert!(inner.clone().retry_unsent().check(&token()).await.is_ok());
        assert_eq!(inner.submissions().len(), 1);
    }
}

#[tokio::test]
async fn an_open_circuit_breaker_makes_no_call() {
    let inner = Scripted::unavailable().with_provider(&FIRST);
    let breaker = inner
        .clone()
        .circuit_breaker(CircuitBreakerPolicy::default());
    let check = breaker.unwrap().retry_unsent();
    for _ in 0..50 {
        assert!(check.check(&token()).await.is_err());
    }
    assert_eq!(inner.submissions().len(), 5);
}

/// A check that never finishes and counts its calls.
#[derive(Clone, Debug, Default)]
struct Endless(Arc<AtomicUsize>);

#[async_trait]
impl HumanCheck for Endless {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&FIRST)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test]
async fn beyond_the_limit_no_check_waits_and_a_dropped_check_frees_its_place() {
    let inner = Endless::default();
    let check = inner.clone().concurrency_limit(3);
    let submission = token();
    for round in 0..3 {
        let mut running: Vec<_> = (0..3).map(|_| check.check(&submission)).collect();
        for call in &mut running {
            assert!(poll(call).is_pending());
        }
        // A clone shares the limit.
        let clone = check.clone();
        for _ in 0..1_000 {
            let Poll::Ready(outcome) = poll(&mut clone.check(&submission)) else {
                panic!("the check waits");
            };
            let error = outcome.unwrap_err();
            let described = (error.kind(), error.reason(), error.token_may_be_used());
            assert_eq!(
                described,
                (ErrorKind::Declined, "too-many-in-flight", false)
            );
        }
        let outcome = check.check(&Submission::new()).await;
        assert_eq!(reason(&outcome), Some(Reason::Missing));
        let malformed = Submission::new().with_token(&FIRST, "a b");
        let outcome = check.check(&malformed).await;
        assert_eq!(reason(&outcome), Some(Reason::Malformed));
        assert_eq!(inner.0.load(Ordering::Relaxed), 4 * round + 3);
        // Dropping one check leaves room for one other.
        drop(running.pop());
        let mut last = check.check(&submission);
        assert!(poll(&mut last).is_pending());
        let outcome = check.check(&submission).await;
        assert_eq!(kind(&outcome), Some(ErrorKind::Declined));
    }
}

#[tokio::test]
async fn a_check_that_panics_gives_its_place_back() {
    let check = Scripted::from_script(|_| panic!("the check panics")).with_provider(&FIRST);
    let check = Arc::new(check.concurrency_limit(1));
    for _ in 0..5 {
        let check = Arc::clone(&check);
        let call = tokio::spawn(async move { check.check(&token()).await });
        // Not `Declined`: each panic freed the place.
        assert!(call.await.unwrap_err().is_panic());
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_check_that_never_ends_and_changes_no_other() {
    let start = tokio::time::Instant::now();
    let error = Endless::default().timeout(TIMEOUT).check(&token()).await;
    let error = error.unwrap_err();
    assert_eq!(start.elapsed(), TIMEOUT);
    let described = (error.kind(), error.reason(), error.token_may_be_used());
    assert_eq!(described, (ErrorKind::Unavailable, "timeout", true));
    for inner in [
        human(),
        Scripted::refused(Reason::Invalid),
        Scripted::protocol(),
    ] {
        let alone = format!("{:?}", inner.check(&token()).await);
        let outcome = inner.timeout(TIMEOUT).check(&token()).await;
        assert_eq!(format!("{outcome:?}"), alone);
    }
}

/// A store that fails while its flag is set.
#[derive(Clone, Debug, Default)]
struct Flapping(Arc<AtomicBool>);

#[async_trait]
impl ReplayStore for Flapping {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        if self.0.load(Ordering::Relaxed) {
            Err(ClaimError::new("read-only"))
        } else {
            Ok(Claimed::First)
        }
    }
}

#[test]
fn a_failure_of_the_store_is_logged_once_per_change() {
    let store = Flapping::default();
    let log = crate::secret_leaks::recorded(|| {
        let check = human().replay_guard(store.clone());
        let submission = token();
        for down in [false, true, false, true, false] {
            store.0.store(down, Ordering::Relaxed);
            for _ in 0..50 {
                let Poll::Ready(outcome) = poll(&mut check.check(&submission)) else {
                    panic!("the check waits");
                };
                assert_eq!(kind(&outcome), down.then_some(ErrorKind::StoreUnavailable));
            }
        }
    });
    let times = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(times("the replay store fails"), 2, "{log}");
    assert_eq!(times("the replay store works again"), 2, "{log}");
    assert_eq!(times("read-only"), 2, "{log}");
}
