use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{ClaimError, Claimed, DigestKey, ReplayStore, Secret, TokenId};
use redis::{Cmd, Value};

use crate::key::Key;
use crate::request::Request;
use crate::{MAX_TTL, RedisClient, RedisStoreError};

/// A replay store on Redis or Valkey. Each token passes once over all processes that share the
/// server, or the cluster, and the secret.
///
/// Use it when several processes verify tokens. For a single process,
/// [`MemoryReplayStore`](human_check_core::MemoryReplayStore) needs no server.
///
/// A claim is one command, `SET key 1 NX PX ttl`, and one round trip. The key is the prefix and a
/// keyed digest of the token. The token itself is not sent.
///
/// When no reply arrives, the token is claimed or not, and the claim is an error: the guard refuses
/// the request unless the route fails open. A command is never sent again, because the repeat of a
/// claim could not be distinguished from a replay. Dropping the future of a claim also leaves the
/// token claimed or not.
///
/// ```
/// use human_check_core::Secret;
/// use human_check_redis::{RedisReplayStore, RedisClient};
///
/// // No connection yet.
/// let server = RedisClient::new(&Secret::new("redis://:a-password@redis.internal:6379")?)?;
/// let store = RedisReplayStore::new(&server, &Secret::new("shared-by-all-machines")?);
/// # let _ = store;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisReplayStore {
    server: RedisClient,
    digest: DigestKey,
    prefix: String,
    replicas: u32,
}

impl RedisReplayStore {
    /// Creates a store on `server`.
    ///
    /// `secret` is the key of the digests. It must be the same in every process that shares the
    /// store; with another secret, a process accepts tokens that the others claimed. It also keeps
    /// readers of the server's memory from testing whether a token was used.
    ///
    /// Connects when it is first used.
    pub fn new(server: &RedisClient, secret: &Secret) -> Self {
        Self {
            server: server.clone(),
            digest: DigestKey::from_secret(secret),
            prefix: "human-check:replay:".to_owned(),
            replicas: 0,
        }
    }

    /// Sets the prefix of the keys on the server. Default: `human-check:replay:`.
    ///
    /// Two stores with different prefixes do not share claims. Do not put `{…}` into a prefix,
    /// because all keys would then share one hash slot of a cluster.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how many replicas must have a claim before its token passes. Default: none.
    ///
    /// Replication is asynchronous: when a replica takes over, claims that it did not have are lost,
    /// and their tokens pass again. With one replica or more, the server waits for so many of them
    /// by `WAIT`, up to four fifths of the response timeout. If too few have the claim by then, the
    /// claim is the error `store-unreplicated`, and the token is used up.
    ///
    /// This shrinks the loss and does not end it: a replica that has not confirmed may take over.
    /// Commands on one connection wait for one another, so a claim takes a round trip between the
    /// servers longer, and while too few replicas are connected, all claims fail. Figures are in
    /// docs/benchmarks.md.
    #[must_use]
    pub fn with_replicas(mut self, count: u32) -> Self {
        self.replicas = count;
        self
    }

    /// Sends the command that claims a digest.
    async fn set(&self, digest: [u8; 16], ttl: Duration) -> Result<Claimed, RedisStoreError> {
        let key = Key::new(&self.prefix, digest);
        // Six arguments, of which four and the digits of the ttl are short.
        let mut set = Cmd::with_capacity(6, key.len() + 32);
        set.arg("SET").arg(&key).arg("1");
        set.arg("NX").arg("PX").arg(millis(ttl));
        let mut request = Request::new(&set);
        if self.replicas > 0 {
            request = request.with_replicas(self.replicas, self.server.replica_timeout());
        }
        let reply = self.server.run(request, &key).await?;
        match reply.value {
            Value::Okay if reply.replicas.unwrap_or(0) < i64::from(self.replicas) => {
                Err(RedisStoreError::UNREPLICATED)
            }
            Value::Okay => Ok(Claimed::First),
            Value::Nil => Ok(Claimed::Duplicate),
            _ => Err(self.server.discard_connections()),
        }
    }
}

/// Returns a ttl in whole milliseconds, rounded up so that no entry ends early, and at least one.
pub(crate) fn millis(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000).max(1);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[async_trait]
impl ReplayStore for RedisReplayStore {
    fn max_ttl(&self) -> Duration {
        MAX_TTL
    }

    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        if ttl > MAX_TTL {
            return Err(ClaimError::new("ttl-too-long"));
        }
        self.set(token.digest(&self.digest), ttl)
            .await
            .map_err(|error| {
                let claim_error = ClaimError::new(error.reason());
                let is_refused = error.is_refused();
                let claim_error = claim_error.with_source(error);
                match is_refused {
                    true => claim_error.with_misconfiguration(),
                    false => claim_error,
                }
            })
    }
}

impl fmt::Debug for RedisReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore")
            .field("server", &self.server)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_rounded_up() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::from_micros(7_001)), 8);
    }
}
