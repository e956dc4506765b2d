use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{ClaimError, Claimed, DigestKey, ReplayStore, Secret, TokenId};
use redis::{Cmd, Value};

use crate::key::key;
use crate::{MAX_TTL, RedisServer, RedisStoreError};

/// Spent tokens remembered in Redis, so that each passes once over all processes.
///
/// A claim is one `SET key 1 NX PX ttl`: look and write are one operation of the server, and one
/// round trip. The key is the prefix with a keyed digest, the token itself is never sent.
///
/// When no reply arrives, the server may have remembered the token or not. The claim is then an
/// error, so the visitor is not let in, and it is never sent again: a second try could not tell
/// its own first from somebody else's.
#[derive(Clone)]
pub struct RedisReplayStore {
    server: RedisServer,
    digest: DigestKey,
    prefix: String,
}

impl RedisReplayStore {
    /// Remembers on `server`. `secret` must be the same in every process that shares it, and
    /// different wherever a token may pass once more; it keeps those who read the server's memory
    /// from testing it for tokens.
    pub fn new(server: &RedisServer, secret: &Secret) -> Self {
        Self {
            server: server.clone(),
            digest: DigestKey::from_secret(secret),
            prefix: "human-check:spent:".to_owned(),
        }
    }

    /// Begins keys with this instead of `human-check:spent:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn set(&self, digest: [u8; 16], ttl: Duration) -> Result<Claimed, RedisStoreError> {
        let mut set = Cmd::new();
        set.arg("SET").arg(key(&self.prefix, digest)).arg("1");
        set.arg("NX").arg("PX").arg(millis(ttl));
        match self.server.ask(&set).await? {
            Value::Okay => Ok(Claimed::First),
            Value::Nil => Ok(Claimed::Duplicate),
            _ => Err(self.server.mistrust()),
        }
    }
}

/// Rounded up, so that a token is never forgotten early.
pub(crate) fn millis(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[async_trait]
impl ReplayStore for RedisReplayStore {
    fn max_ttl(&self) -> Duration {
        MAX_TTL
    }

    async fn claim(&self, claim: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        if ttl > MAX_TTL {
            return Err(ClaimError::new("ttl-too-long"));
        }
        self.set(claim.digest(&self.digest), ttl)
            .await
            .map_err(|trouble| ClaimError::new(trouble.reason()).with_source(trouble))
    }
}

impl fmt::Debug for RedisReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore")
            .field("server", &self.server)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_rounded_up() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::from_micros(7_001)), 8);
    }
}
