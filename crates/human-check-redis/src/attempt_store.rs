use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::Secret;
use human_check_guard::{AttemptKey, AttemptStore, AttemptStoreError};
use redis::{Cmd, Value};

use crate::key::key;
use crate::replay_store::millis;
use crate::{MAX_TTL, RedisServer, RedisStoreError};

/// Attempts counted in Redis, over all processes.
///
/// Each key is a keyed digest, so that no address or account name leaves the process, and ends by
/// itself with its window. Every command names one key.
#[derive(Clone)]
pub struct RedisAttemptStore {
    server: RedisServer,
    digest: [u8; 32],
    prefix: String,
}

/// Counts and begins the window in one step, so that no count can be left without an end. Any
/// later attempt would mend one that was. `PEXPIRE … NX` would do too, from Redis 7 on.
///
/// Sent whole each time: it is short, and a server that lost its scripts then needs no second try.
const ADD: &str = "\
local n = redis.call('INCR', KEYS[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n";

impl RedisAttemptStore {
    /// Counts on `server`. `secret` must be the same in every process that shares it.
    pub fn new(server: &RedisServer, secret: &Secret) -> Self {
        let context = "human-check-redis 2026-11-24 digests of attempt keys";
        Self {
            server: server.clone(),
            digest: blake3::derive_key(context, secret.expose().as_bytes()),
            prefix: "human-check:attempts:".to_owned(),
        }
    }

    /// Begins keys with this instead of `human-check:attempts:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn key(&self, of: &AttemptKey) -> String {
        let hash = blake3::keyed_hash(&self.digest, of.as_str().as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.as_bytes()[..16]);
        key(&self.prefix, digest)
    }

    async fn ask<R>(
        &self,
        command: &Cmd,
        read: impl FnOnce(Value) -> Option<R>,
    ) -> Result<R, AttemptStoreError> {
        let answer = self.server.ask(command).await;
        answer
            .and_then(|value| read(value).ok_or_else(|| self.server.mistrust()))
            .map_err(|trouble: RedisStoreError| AttemptStoreError::new(trouble))
    }
}

#[async_trait]
impl AttemptStore for RedisAttemptStore {
    async fn add(&self, of: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError> {
        let mut add = Cmd::new();
        add.arg("EVAL").arg(ADD).arg(1).arg(self.key(of));
        add.arg(millis(window.min(MAX_TTL)));
        self.ask(&add, |value| match value {
            // It was counted, so it is one at least.
            Value::Int(count @ 1..) => Some(saturated(count)),
            _ => None,
        })
        .await
    }

    async fn count(&self, of: &AttemptKey) -> Result<u32, AttemptStoreError> {
        let mut get = Cmd::new();
        get.arg("GET").arg(self.key(of));
        self.ask(&get, |value| match value {
            Value::Nil => Some(0),
            Value::BulkString(digits) => std::str::from_utf8(&digits)
                .ok()
                .and_then(|digits| digits.parse::<i64>().ok())
                .filter(|count| *count >= 0)
                .map(saturated),
            _ => None,
        })
        .await
    }

    async fn clear(&self, of: &AttemptKey) -> Result<(), AttemptStoreError> {
        let mut del = Cmd::new();
        del.arg("DEL").arg(self.key(of));
        self.ask(&del, |value| {
            matches!(value, Value::Int(0 | 1)).then_some(())
        })
        .await
    }
}

fn saturated(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Debug for RedisAttemptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAttemptStore")
            .field("server", &self.server)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
