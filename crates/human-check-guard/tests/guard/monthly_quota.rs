//! The calls of an account in a month: what counts, on which machines, and what follows.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::adapter::async_trait;
use human_check_core::{
    Capabilities, CheckError, ErrorKind, HumanCheck, Provider, Submission, Verdict,
};
use human_check_guard::{
    AttemptKey, AttemptStore, AttemptStoreError, MemoryAttemptStore, MonthlyQuota,
};
use human_check_testkit::{ManualClock, SCRIPTED, Scripted};

use crate::support::Log;

/// A moment of November 2026, in days and hours of the month from 0 on.
fn november(days: u64, hours: u64) -> SystemTime {
    // 2026-11-01T00:00:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_491_200 + days * 86_400 + hours * 3_600)
}

fn submission() -> Submission {
    Submission::new().with_token(&SCRIPTED, "a-token-that-is-long-enough")
}

/// Waits until the tasks that count have ended.
async fn counted() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn calls(store: &dyn AttemptStore, month: &str) -> u32 {
    counted().await;
    let key = AttemptKey::named(format!("quota:a:{month}"));
    store.count(&key).await.unwrap()
}

#[tokio::test]
async fn calls_count_by_month_on_all_machines_and_what_reached_no_provider_does_not() {
    let store: Arc<dyn AttemptStore> = Arc::new(MemoryAttemptStore::new(100));
    let clock = ManualClock::starting_at(november(29, 23));
    let machine = |check: Scripted| {
        MonthlyQuota::new(check, "a", Arc::clone(&store), 1_000)
            .unwrap()
            .with_clock(clock.clone())
    };
    let [first, second] = [machine(Scripted::human()), machine(Scripted::human())];
    for _ in 0..3 {
        assert!(first.check(&submission()).await.unwrap().is_human());
        assert!(second.check(&submission()).await.unwrap().is_human());
    }
    assert_eq!(calls(&*store, "2026-11").await, 6);
    // Refusals and outages of the provider may be billed.
    let refusing = machine(Scripted::unavailable());
    assert!(refusing.check(&submission()).await.is_err());
    let _health = first.probe_health().await;
    assert_eq!(calls(&*store, "2026-11").await, 8);
    // No token.
    let missing = Submission::new();
    let _verdict = first.check(&missing).await;
    // A limit of our own in front of the provider.
    let limited = MonthlyQuota::new(
        human_check_core::HumanCheckExt::concurrency_limit(Scripted::human(), 0),
        "a",
        Arc::clone(&store),
        1_000,
    );
    let limited = limited.unwrap().with_clock(clock.clone());
    let error = limited.check(&submission()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Declined);
    assert_eq!(calls(&*store, "2026-11").await, 8);
    // The next month of UTC begins.
    clock.advance(Duration::from_secs(3_600));
    assert!(first.check(&submission()).await.unwrap().is_human());
    assert_eq!(calls(&*store, "2026-11").await, 8);
    assert_eq!(calls(&*store, "2026-12").await, 1);
}

/// A check that never ends.
#[derive(Debug)]
struct Stalled;

#[async_trait]
impl HumanCheck for Stalled {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SCRIPTED)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_who_leaves_has_used_a_call() {
    let store: Arc<dyn AttemptStore> = Arc::new(MemoryAttemptStore::new(100));
    let clock = ManualClock::starting_at(november(3, 0));
    let check = MonthlyQuota::new(Stalled, "a", Arc::clone(&store), 10).unwrap();
    let check = check.with_clock(clock);
    for _ in 0..2 {
        let submission = submission();
        let left = tokio::time::timeout(Duration::from_secs(1), check.check(&submission));
        assert!(left.await.is_err());
    }
    assert_eq!(calls(&*store, "2026-11").await, 2);
}

#[tokio::test]
async fn at_the_limit_it_declines_without_a_call_until_the_month_is_over() {
    let store: Arc<dyn AttemptStore> = Arc::new(MemoryAttemptStore::new(100));
    let clock = ManualClock::starting_at(november(29, 23));
    let machine = || {
        let quota = MonthlyQuota::new(Scripted::human(), "a", Arc::clone(&store), 10);
        let quota = quota.unwrap().with_stop_at(0.5).unwrap();
        quota.with_clock(clock.clone())
    };
    let check = machine();
    for _ in 0..5 {
        assert!(check.check(&submission()).await.unwrap().is_human());
        counted().await;
    }
    let error = check.check(&submission()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Declined, "own-quota")
    );
    assert!(
        !error.token_may_be_used(),
        "the same token can be sent again"
    );
    assert_eq!(calls(&*store, "2026-11").await, 5);
    // A process that starts learns it by its first call.
    let next = machine();
    assert!(next.check(&submission()).await.is_ok());
    counted().await;
    assert!(next.check(&submission()).await.is_err());
    clock.advance(Duration::from_secs(3_600));
    assert!(check.check(&submission()).await.unwrap().is_human());
}

#[tokio::test]
async fn warnings_come_once_at_80_percent_at_the_end_and_when_the_rest_does_not_last() {
    let log = Log::capture();
    let store: Arc<dyn AttemptStore> = Arc::new(MemoryAttemptStore::new(100));
    // A tenth of the month is over.
    let clock = ManualClock::starting_at(november(3, 0));
    let check = MonthlyQuota::new(Scripted::human(), "a", store, 50).unwrap();
    let check = check.with_clock(clock.clone());
    let mut after = Vec::new();
    for call in 1..=60 {
        assert!(check.check(&submission()).await.unwrap().is_human());
        counted().await;
        let warnings = log.of("WARN").len();
        if after.last().is_none_or(|(_, last)| *last < warnings) && warnings > 0 {
            after.push((call, warnings));
        }
    }
    assert_eq!(after, [(6, 1), (40, 2), (50, 3)]);
    let warnings = log.of("WARN");
    assert!(warnings[0].contains("does not last"), "{warnings:?}");
    assert!(warnings[1].contains("80 %"), "{warnings:?}");
    assert!(warnings[2].contains("used up"), "{warnings:?}");
}

/// A store whose server is down.
#[derive(Debug)]
struct Down;

#[async_trait]
impl AttemptStore for Down {
    async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }

    async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
        Err(AttemptStoreError::new("not connected"))
    }
}

#[tokio::test]
async fn a_store_that_fails_stops_no_visitor_and_one_without_room_neither() {
    for store in [
        Arc::new(Down) as Arc<dyn AttemptStore>,
        Arc::new(MemoryAttemptStore::new(0)),
    ] {
        let check = MonthlyQuota::new(Scripted::human(), "a", store, 1).unwrap();
        let check = check.with_stop_at(1.0).unwrap();
        for _ in 0..5 {
            assert!(check.check(&submission()).await.unwrap().is_human());
            counted().await;
        }
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let store: Arc<dyn AttemptStore> = Arc::new(MemoryAttemptStore::new(0));
    assert!(MonthlyQuota::new(Scripted::human(), "a", Arc::clone(&store), 0).is_err());
    for share in [0.0, -1.0, 1.01, f64::NAN] {
        let quota = MonthlyQuota::new(Scripted::human(), "a", Arc::clone(&store), 10);
        assert!(quota.unwrap().with_stop_at(share).is_err(), "{share}");
    }
}
