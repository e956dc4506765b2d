use std::time::Duration;

use async_trait::async_trait;
use human_check::{DigestKey, Secret};
use human_check_guard::{AttemptKey, AttemptStore, StoreError};
use redis::{Cmd, Value};

use crate::RedisServer;
use crate::spent::{key, millis};

/// Attempts counted on a server that many machines share.
///
/// Keys are digests: an address or a name is nobody's business there.
#[derive(Clone, Debug)]
pub struct RedisAttempts {
    server: RedisServer,
    key: DigestKey,
    prefix: String,
}

/// The window begins with the first attempt. In a script, since a count without an end would stay for
/// ever if we were interrupted between the two commands.
const ADD: &str = "local n = redis.call('INCR', KEYS[1]) \
    if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n";

impl RedisAttempts {
    /// Counts on `server`, under digests keyed by `secret`.
    pub fn new(server: RedisServer, secret: &Secret) -> Self {
        Self {
            server,
            key: DigestKey::from_secret(secret),
            prefix: "human-check:attempts:".to_owned(),
        }
    }

    /// Begins its keys with something else, where several sites share a server.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn place(&self, attempt: &AttemptKey) -> String {
        let digest = self.key.digest(&[b"attempts", attempt.as_str().as_bytes()]);
        key(&self.prefix, digest)
    }

    async fn number(&self, command: &Cmd) -> Result<u32, StoreError> {
        let answer = self.server.send(command).await.map_err(StoreError::new)?;
        let number = match answer {
            Value::Nil => Some(0),
            Value::Int(number) => u32::try_from(number.clamp(0, u32::MAX.into())).ok(),
            Value::BulkString(digits) => std::str::from_utf8(&digits)
                .ok()
                .and_then(|digits| digits.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| StoreError::new("store-protocol"))
    }
}

#[async_trait]
impl AttemptStore for RedisAttempts {
    async fn add(&self, attempt: &AttemptKey, window: Duration) -> Result<u32, StoreError> {
        let mut command = redis::cmd("EVAL");
        command
            .arg(ADD)
            .arg(1)
            .arg(self.place(attempt))
            .arg(millis(window));
        self.number(&command).await
    }

    async fn count(&self, attempt: &AttemptKey) -> Result<u32, StoreError> {
        self.number(redis::cmd("GET").arg(self.place(attempt)))
            .await
    }

    async fn clear(&self, attempt: &AttemptKey) -> Result<(), StoreError> {
        let answer = self
            .number(redis::cmd("DEL").arg(self.place(attempt)))
            .await;
        answer.map(|_| ())
    }
}
