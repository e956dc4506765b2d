//! Tests of the store on a real PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

mod claims;
mod failures;
mod inspection;
mod server;
mod tls;

use std::time::{Duration, Instant};

use human_check_core::{ClaimError, Claimed, ReplayStore, Secret, Submission, TokenId};
use human_check_postgres::PostgresReplayStore;
use human_check_testkit::SCRIPTED;

use server::secret;

const MINUTE: Duration = Duration::from_secs(60);

async fn claim(store: &PostgresReplayStore, token: &str) -> Result<Claimed, ClaimError> {
    claim_for(store, token, MINUTE).await
}

async fn claim_for(
    store: &PostgresReplayStore,
    token: &str,
    ttl: Duration,
) -> Result<Claimed, ClaimError> {
    let submission = Submission::new().with_token(&SCRIPTED, token);
    let token = TokenId::of_submission(&submission, &SCRIPTED);
    store.claim(token, ttl).await
}

async fn reason(store: &PostgresReplayStore, token: &str) -> &'static str {
    claim(store, token).await.unwrap_err().reason()
}

/// Claims a token until no error comes. Panics after thirty seconds.
async fn claim_settled(store: &PostgresReplayStore, token: &str) -> Claimed {
    let mut claimed = None;
    until(async || {
        claimed = claim(store, token).await.ok();
        claimed.is_some()
    })
    .await;
    claimed.unwrap()
}

/// Waits until the condition holds. Panics after thirty seconds.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        let is_late = Instant::now() > deadline;
        assert!(
            !is_late,
            "the condition did not become true within thirty seconds"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
