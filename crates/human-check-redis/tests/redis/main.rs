//! Tests of the stores on a real redis-server, and on servers that send invalid replies.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

mod attempts;
mod claims;
mod cluster;
mod failures;
mod fleet;
mod inspect;
mod invalid_replies;
mod load;
mod sentinel;
mod server;
#[cfg(feature = "rustls")]
mod tls;

use crate::load::Load;
use human_check_core::{ClaimError, Claimed, ReplayStore, Secret, Submission, TokenId};
use human_check_redis::{RedisClient, RedisReplayStore};
use human_check_testkit::SCRIPTED;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn secret() -> Secret {
    Secret::new("the-secret-of-all-machines").unwrap()
}

fn replay_store(server: &RedisClient) -> RedisReplayStore {
    RedisReplayStore::new(server, &secret())
}

async fn claim(store: &RedisReplayStore, token: &str) -> Result<Claimed, ClaimError> {
    claim_for(store, token, MINUTE).await
}

async fn claim_for(
    store: &RedisReplayStore,
    token: &str,
    ttl: Duration,
) -> Result<Claimed, ClaimError> {
    let submission = Submission::new().with_token(&SCRIPTED, token);
    store
        .claim(TokenId::of_submission(&submission, &SCRIPTED), ttl)
        .await
}

async fn reason(store: &RedisReplayStore, token: &str) -> &'static str {
    claim(store, token).await.unwrap_err().reason()
}

/// Claims a token until no error comes. Panics after thirty seconds.
async fn claim_settled(store: &RedisReplayStore, token: &str) -> Claimed {
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
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !condition().await {
        let is_late = std::time::Instant::now() > deadline;
        assert!(
            !is_late,
            "the condition did not become true within thirty seconds"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
