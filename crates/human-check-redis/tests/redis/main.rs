//! Tests of the stores on a real redis-server, and on servers that send invalid replies.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

mod attempts;
mod claims;
mod failures;
mod inspect;
mod invalid_replies;
mod server;
#[cfg(feature = "rustls")]
mod tls;

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

/// Waits until the condition holds. Panics after ten seconds.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the condition did not become true within ten seconds");
}
