//! What a load balancer learns: that the process replies, and whether to send requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use human_check_core::adapter::async_trait;
use human_check_core::{ClaimError, Claimed, Health, Provider, ReplayStore, TokenId};
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{
    AccountList, AttemptKey, AttemptStore, AttemptStoreError, Guard, HealthEndpoint, Human,
    RoutePolicy, Selection,
};
use tokio::time::advance;

use crate::fake_account::Fake;
use crate::support::Head;

static A: Provider = Provider::new("a", &["a-response"]);
static B: Provider = Provider::new("b", &["b-response"]);

/// A store that the test breaks.
#[derive(Clone, Debug, Default)]
struct Store {
    fails: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    /// Whether it lets one token be claimed twice.
    forgets: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
}

impl Store {
    async fn call(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        !self.fails.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ReplayStore for Store {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        let is_second = self.calls.load(Ordering::SeqCst) % 2 == 1;
        match self.call().await {
            true if is_second && !self.forgets.load(Ordering::SeqCst) => Ok(Claimed::Duplicate),
            true => Ok(Claimed::First),
            false => Err(ClaimError::new("broken")),
        }
    }
}

#[async_trait]
impl AttemptStore for Store {
    async fn add(&self, _: &AttemptKey, _: Duration) -> Result<u32, AttemptStoreError> {
        match self.call().await {
            true => Ok(1),
            false => Err(AttemptStoreError::new("broken")),
        }
    }

    async fn count(&self, _: &AttemptKey) -> Result<u32, AttemptStoreError> {
        Ok(0)
    }

    async fn clear(&self, _: &AttemptKey) -> Result<(), AttemptStoreError> {
        Ok(())
    }
}

async fn ready(endpoint: &HealthEndpoint) -> (u16, String) {
    let response = endpoint.ready().await;
    assert!(
        response
            .headers
            .contains(&("cache-control", "no-store".into()))
    );
    (response.status, response.body)
}

#[tokio::test(start_paused = true)]
async fn readiness_depends_on_no_part_that_was_not_named() {
    let endpoint = HealthEndpoint::new();
    assert_eq!(endpoint.live().status, 200);
    assert_eq!(
        ready(&endpoint).await,
        (200, r#"{"status":"ready"}"#.to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_not_ready_and_examined_once_in_ten_seconds() {
    for kind in ["replay_store", "attempt_store"] {
        let store = Store::default();
        let endpoint = match kind {
            "replay_store" => HealthEndpoint::new().with_replay_store(store.clone()),
            _ => HealthEndpoint::new().with_attempt_store(store.clone()),
        };
        // Which part it is, is not for everyone.
        let not_ready = (503, r#"{"status":"not-ready"}"#.to_owned());
        for _ in 0..100 {
            assert_eq!(ready(&endpoint).await.0, 200);
        }
        // A claim is made twice.
        let once = if kind == "replay_store" { 2 } else { 1 };
        assert_eq!(store.calls.load(Ordering::SeqCst), once);
        store.fails.store(true, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        assert_eq!(ready(&endpoint).await, not_ready);
        assert_eq!(endpoint.live().status, 200);
        store.fails.store(false, Ordering::SeqCst);
        store.calls.store(0, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        assert_eq!(ready(&endpoint).await.0, 200);

        // One call waits for a store that hangs, and the others get the result of before.
        store.hangs.store(true, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        let calls = store.calls.load(Ordering::SeqCst);
        let waiting = tokio::spawn({
            let endpoint = endpoint.clone();
            async move { ready(&endpoint).await }
        });
        tokio::task::yield_now().await;
        for _ in 0..100 {
            assert_eq!(ready(&endpoint).await.0, 200);
        }
        assert_eq!(store.calls.load(Ordering::SeqCst), calls + 1);
        assert_eq!(waiting.await.unwrap(), not_ready);

        // A client that leaves does not keep the result of before in place.
        store.hangs.store(false, Ordering::SeqCst);
        store.calls.store(0, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        assert_eq!(ready(&endpoint).await.0, 200);
        store.hangs.store(true, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        let leaving = tokio::spawn({
            let endpoint = endpoint.clone();
            async move { ready(&endpoint).await }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        assert!(leaving.await.is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let calls = store.calls.load(Ordering::SeqCst);
        assert_eq!(ready(&endpoint).await, not_ready);
        assert_eq!(store.calls.load(Ordering::SeqCst), calls, "it is known");

        // A result that is too old is none.
        store.hangs.store(false, Ordering::SeqCst);
        store.calls.store(0, Ordering::SeqCst);
        advance(Duration::from_secs(11)).await;
        assert_eq!(ready(&endpoint).await.0, 200);
        store.hangs.store(true, Ordering::SeqCst);
        advance(Duration::from_secs(31)).await;
        assert_eq!(ready(&endpoint).await, not_ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_claims_twice_is_not_ready() {
    let store = Store::default();
    store.forgets.store(true, Ordering::SeqCst);
    let endpoint = HealthEndpoint::new().with_replay_store(store);
    assert_eq!(ready(&endpoint).await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn a_process_is_not_ready_while_all_accounts_of_a_route_are_down_and_comes_back_without_requests()
 {
    let (a, b) = (Fake::new(&A), Fake::new(&B));
    let list = AccountList::new(a.account("a")).with_fallback([b.account("b")]);
    let guard = Guard::builder_for(Selection::new(list))
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap();
    let guards = vec![guard.clone()];
    let endpoint = HealthEndpoint::new().with_guards(move || guards.clone());
    assert_eq!(ready(&endpoint).await.0, 200);
    // A visitor loads the page and sends what its widget gives.
    let visit = async || {
        let page = guard.select(&Head::new());
        let mut tokens = SubmittedTokens::none();
        let field = page.widget().unwrap().field();
        tokens.push(guard.fields().find(field).unwrap(), "t".to_owned());
        let offer = guard.fields().find("human-check-offer").unwrap();
        tokens.push(offer, page.offer().to_owned());
        let pending = guard.inspect(&Head::new()).with_tokens(tokens);
        assert!(pending.decide().await.require::<Human>().is_err());
        advance(Duration::from_secs(11)).await;
    };
    a.break_down();
    visit().await;
    // The fallback works.
    assert_eq!(ready(&endpoint).await.0, 200);
    b.break_down();
    visit().await;
    assert_eq!(ready(&endpoint).await.0, 503);
    // No visitor comes, because the load balancer sends none.
    a.mend();
    a.set_health(Health::Up);
    let mut minutes = 0;
    while ready(&endpoint).await.0 == 503 {
        assert!(minutes < 60, "it stays down without requests");
        minutes += 1;
        for _ in 0..6 {
            advance(Duration::from_secs(10)).await;
            ready(&endpoint).await;
            tokio::task::yield_now().await;
        }
    }
}
