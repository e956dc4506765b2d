//! The replay guard with a store in memory, and with stores that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use human_check_core::{
    ClaimError, Claimed, Clock, ErrorKind, HumanCheck, HumanCheckExt, MemoryReplayStore, Reason,
    ReplayProtection, ReplayStore, Submission, TokenId,
};
use human_check_testkit::{ManualClock, SCRIPTED, Scripted};

fn token(text: impl Into<String>) -> Submission {
    Submission::new().with_token(&SCRIPTED, text)
}

async fn claim(store: &impl ReplayStore, text: &str) -> Result<Claimed, &'static str> {
    let submission = token(text);
    let claim = TokenId::of_submission(&submission, &SCRIPTED);
    let claimed = store.claim(claim, Duration::from_secs(600)).await;
    claimed.map_err(|error| error.reason())
}

#[tokio::test]
async fn a_token_passes_once_and_the_verdict_names_the_replay_protection() {
    let check = Scripted::human().replay_guard(MemoryReplayStore::new(10));
    let verdict = check.check(&token("a")).await.unwrap();
    assert_eq!(
        verdict.facts().unwrap().replay_protection,
        ReplayProtection::Store
    );
    let verdict = check.check(&token("a")).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().reason(), Reason::Replayed);
    assert!(check.check(&token("b")).await.unwrap().is_human());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_thousand_concurrent_submits_each_token_passes_once() {
    let check = Arc::new(Scripted::human().replay_guard(MemoryReplayStore::new(1_000)));
    let mut submits = tokio::task::JoinSet::new();
    for n in 0..10_000 {
        let check = Arc::clone(&check);
        submits.spawn(async move {
            let submission = token(format!("token-{}", n % 100));
            check.check(&submission).await.unwrap().is_human()
        });
    }
    let passed = submits.join_all().await.into_iter().filter(|human| *human);
    assert_eq!(passed.count(), 100);
}

#[tokio::test]
async fn a_refused_token_is_not_claimed() {
    let store = MemoryReplayStore::new(1);
    for script in [
        Scripted::refused(Reason::Invalid),
        Scripted::unavailable(),
        Scripted::protocol(),
    ] {
        let check = script.replay_guard(store.clone());
        for n in 0..1_000 {
            let _ = check.check(&token(format!("junk-{n}"))).await;
        }
    }
    assert_eq!(
        claim(&store, "a").await,
        Ok(Claimed::First),
        "the store has room"
    );
}

#[tokio::test]
async fn a_full_store_refuses_the_new_and_keeps_the_old() {
    let clock = ManualClock::starting_now();
    let store = MemoryReplayStore::new(100).with_clock(clock.clone());
    for n in 0..100 {
        assert_eq!(claim(&store, &n.to_string()).await, Ok(Claimed::First));
    }
    for n in 100..200 {
        assert_eq!(claim(&store, &n.to_string()).await, Err("store-full"));
    }
    for n in 0..100 {
        assert_eq!(claim(&store, &n.to_string()).await, Ok(Claimed::Duplicate));
    }
    clock.advance(Duration::from_secs(1_200));
    for n in 100..200 {
        assert_eq!(
            claim(&store, &n.to_string()).await,
            Ok(Claimed::First),
            "{n}"
        );
    }
    let check = Scripted::human().replay_guard(store);
    let error = check.check(&token("one more")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::StoreUnavailable, "store-full")
    );
}

#[tokio::test]
async fn a_claim_lasts_its_ttl_whatever_the_calendar_does() {
    let ttl = Duration::from_secs(600);
    let second = Duration::from_secs(1);
    // The claim begins at different ages of the store's current generation.
    for begins_after in [0, 1, 300, 599, 600, 601, 899, 1_199] {
        let clock = ManualClock::starting_now();
        let store = MemoryReplayStore::new(10)
            .with_ttl(ttl)
            .with_clock(clock.clone());
        assert_eq!(claim(&store, "warm").await, Ok(Claimed::First));
        clock.advance(second * begins_after);
        assert_eq!(claim(&store, "a").await, Ok(Claimed::First));
        for _ in 0..5 {
            clock.advance(second * 119);
            clock.set(clock.now() + ttl * 10);
            assert_eq!(
                claim(&store, "a").await,
                Ok(Claimed::Duplicate),
                "{begins_after}"
            );
        }
        clock.advance(second * 1_300);
        assert_eq!(
            claim(&store, "a").await,
            Ok(Claimed::First),
            "{begins_after}"
        );
    }
}

#[tokio::test]
async fn dropping_the_future_at_any_step_never_frees_a_token() {
    use std::task::{Context, Poll, Waker};
    for steps in 0..6 {
        let check = Scripted::human().replay_guard(Stepping::default());
        let submission = token("a");
        let mut passed = 0;
        {
            let mut future = std::pin::pin!(check.check(&submission));
            for _ in 0..steps {
                let mut context = Context::from_waker(Waker::noop());
                if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
                    passed += usize::from(outcome.unwrap().is_human());
                    break;
                }
            }
        }
        for _ in 0..3 {
            passed += usize::from(check.check(&submission).await.unwrap().is_human());
        }
        assert!(passed <= 1, "after {steps} steps");
    }
}

/// A store whose claims need several polls.
#[derive(Debug)]
struct Stepping(MemoryReplayStore);

impl Default for Stepping {
    fn default() -> Self {
        Self(MemoryReplayStore::new(10))
    }
}

#[human_check_core::adapter::async_trait]
impl ReplayStore for Stepping {
    fn max_ttl(&self) -> Duration {
        self.0.max_ttl()
    }

    async fn claim(&self, claim: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        tokio::task::yield_now().await;
        let claimed = self.0.claim(claim, ttl).await;
        tokio::task::yield_now().await;
        claimed
    }
}

/// A store that fails or never replies.
#[derive(Debug)]
enum BrokenStore {
    Failing(AtomicUsize),
    Stalling,
}

#[human_check_core::adapter::async_trait]
impl ReplayStore for BrokenStore {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        match self {
            Self::Failing(times) => {
                times.fetch_add(1, Ordering::Relaxed);
                Err(ClaimError::new("store-unreachable"))
            }
            Self::Stalling => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_denies_and_is_never_an_outage_of_the_provider() {
    let check = Scripted::human().replay_guard(BrokenStore::Failing(AtomicUsize::new(0)));
    let error = check.check(&token("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    // Failover does not call the second provider: the first provider verified the token, which is
    // used.
    let second = Scripted::human().with_provider(&human_check_core::Provider::new("two", &["two"]));
    let error = check
        .failover_to(second.clone())
        .unwrap()
        .check(&token("a"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(second.submissions().is_empty());

    // A store that never replies causes a timeout of the store, which is no outage of the provider.
    let second = Duration::from_secs(1);
    let stalled = Scripted::human().replay_guard(BrokenStore::Stalling);
    let stalled = stalled.with_store_timeout(second).timeout(second * 3);
    let start = tokio::time::Instant::now();
    let error = stalled.check(&token("a")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::StoreUnavailable, "store-timeout")
    );
    assert_eq!(start.elapsed(), second);
}

#[test]
fn a_ttl_that_the_store_cannot_keep_is_refused_when_it_is_set() {
    let guard = || Scripted::human().replay_guard(MemoryReplayStore::new(10));
    assert!(guard().with_ttl(Duration::from_secs(601)).is_err());
    assert!(guard().with_ttl(Duration::ZERO).is_err());
    assert!(guard().with_ttl(Duration::from_secs(300)).is_ok());
}
