use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use human_check::{Claim, ClaimError, Claimed, DigestKey, Secret, SpentTokens};
use redis::Value;

use crate::RedisServer;

/// Spent tokens remembered on a server that many machines share.
///
/// The first claim also [inspects](RedisServer::inspect) the server in the background.
#[derive(Clone, Debug)]
pub struct RedisSpent {
    server: RedisServer,
    key: DigestKey,
    prefix: String,
    inspected: Arc<AtomicBool>,
}

impl RedisSpent {
    /// Remembers tokens on `server`, under digests keyed by `secret`. Every machine needs the same
    /// secret: with another one it would not recognise what the rest has claimed.
    pub fn new(server: RedisServer, secret: &Secret) -> Self {
        Self {
            server,
            key: DigestKey::from_secret(secret),
            prefix: "human-check:spent:".to_owned(),
            inspected: Arc::default(),
        }
    }

    /// Begins its keys with something else, where several sites share a server.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn inspect_once(&self) {
        if !self.inspected.swap(true, Ordering::Relaxed) {
            let server = self.server.clone();
            drop(tokio::spawn(async move {
                // It logs what it finds; that the server is away is told by the claims.
                let _ = server.inspect().await;
            }));
        }
    }
}

#[async_trait]
impl SpentTokens for RedisSpent {
    /// A year. The server has no limit of its own.
    fn longest_life(&self) -> Duration {
        Duration::from_secs(366 * 24 * 3_600)
    }

    /// One `SET … NX PX`.
    async fn claim(&self, claim: Claim<'_>, life: Duration) -> Result<Claimed, ClaimError> {
        self.inspect_once();
        let digest = claim.digest(&self.key);
        let mut command = redis::cmd("SET");
        command.arg(key(&self.prefix, digest)).arg(1);
        command.arg("NX").arg("PX").arg(millis(life));
        match self.server.send(&command).await.map_err(ClaimError::new)? {
            Value::Okay => Ok(Claimed::First),
            Value::Nil => Ok(Claimed::Before),
            _ => Err(ClaimError::new("store-protocol")),
        }
    }
}

/// A key of one command, so that it has one slot on a cluster.
pub(crate) fn key(prefix: &str, digest: [u8; 16]) -> String {
    format!("{prefix}{:032x}", u128::from_be_bytes(digest))
}

/// Rounded up: a life must not end early. A year at most, at least a millisecond.
pub(crate) fn millis(life: Duration) -> u64 {
    let year = Duration::from_secs(366 * 24 * 3_600);
    let millis = life.min(year).as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(u64::MAX).max(1)
}
