use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{Clock, DigestKey, Secret, SystemClock};
use human_check_guard::{AttemptKey, AttemptStore, AttemptStoreError};
use redis::{Cmd, Value};

use crate::key::Key;
use crate::replay_store::millis;
use crate::request::Request;
use crate::{MAX_TTL, RedisClient, RedisStoreError};

/// An attempt store on Redis or Valkey. It counts attempts over all processes that share the server,
/// or the cluster, and the secret.
///
/// Use it with [`Trigger::after_requests`](human_check_guard::Trigger::after_requests) or
/// [`Trigger::after_attempts`](human_check_guard::Trigger::after_attempts) when several processes
/// serve a route. A key on the server is the prefix and a keyed digest, so no address and no
/// account name leaves the process. It ends with its window. Every command names one key.
///
/// Dropping the future of [`add`](AttemptStore::add) leaves the attempt counted or not.
///
/// ```
/// use human_check_core::Secret;
/// use human_check_redis::{RedisAttemptStore, RedisClient};
///
/// // No connection yet.
/// let server = RedisClient::new(&Secret::new("redis://:a-password@redis.internal:6379")?)?;
/// let attempts = RedisAttemptStore::new(&server, &Secret::new("shared-by-all-machines")?);
/// # let _ = attempts;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisAttemptStore {
    server: RedisClient,
    digest: DigestKey,
    prefix: String,
    max_keys: u32,
    created: Arc<Mutex<HashMap<Duration, Created>>>,
}

/// The keys of one length of window that this process has created in the present period.
#[derive(Debug, Default)]
struct Created {
    since: Duration,
    keys: u32,
}

/// Counts an attempt and begins its window in one step, so that every count has an end. A count
/// without an end gets one with the next attempt. Redis 7 could do the same with `PEXPIRE … NX`;
/// this also works with Redis 6.
///
/// The script is sent with every call. It is short, and a server that lost its scripts then needs
/// no second call.
const ADD: &str = "\
local n = redis.call('INCR', KEYS[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n";

impl RedisAttemptStore {
    /// Creates a store on `server`.
    ///
    /// `secret` is the key of the digests. It must be the same in every process that shares the
    /// counts. Connects when it is first used.
    pub fn new(server: &RedisClient, secret: &Secret) -> Self {
        Self {
            server: server.clone(),
            digest: DigestKey::for_purpose("attempts", secret),
            prefix: "human-check:attempts:".to_owned(),
            max_keys: 100_000,
            created: Arc::default(),
        }
    }

    /// Sets how many keys this process creates in the time of one window. Default: 100,000, about 12
    /// MB on the server for each process.
    ///
    /// Beyond it, a key that the server does not hold has the count [`u32::MAX`], so the request is
    /// challenged. A flood of addresses then leaves the server room for the claims of a replay store.
    #[must_use]
    pub fn with_max_keys(mut self, max_keys: u32) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Returns whether this process may create a key now.
    fn has_room(&self, window: Duration) -> bool {
        let now = SystemClock.uptime();
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |length: &Duration, of: &Created| now.saturating_sub(of.since) >= *length;
        created.retain(|length, of| !is_over(length, of));
        created.entry(window).or_insert(Created {
            since: now,
            keys: 0,
        });
        let keys = created
            .values()
            .fold(0, |sum: u32, of| sum.saturating_add(of.keys));
        keys < self.max_keys
    }

    /// Sets the prefix of the keys on the server. Default: `human-check:attempts:`.
    ///
    /// Two stores with different prefixes do not share counts. Do not put `{…}` into a prefix,
    /// because all keys would then share one hash slot of a cluster.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Returns the key on the server for an address or account.
    fn key(&self, counted: &AttemptKey) -> Key<'_> {
        let digest = self.digest.digest(&[counted.as_str().as_bytes()]);
        Key::new(&self.prefix, digest)
    }

    /// Sends a command, and reads its reply with `read`, which returns `None` for a reply that does
    /// not fit the command.
    async fn run<R>(
        &self,
        command: &Cmd,
        key: &Key<'_>,
        read: impl FnOnce(Value) -> Option<R>,
    ) -> Result<R, AttemptStoreError> {
        let reply = self.server.run(Request::new(command), key).await;
        reply
            .and_then(|reply| read(reply.value).ok_or_else(|| self.server.discard_connections()))
            .map_err(|error: RedisStoreError| AttemptStoreError::new(error))
    }
}

#[async_trait]
impl AttemptStore for RedisAttemptStore {
    async fn add(&self, counted: &AttemptKey, window: Duration) -> Result<u32, AttemptStoreError> {
        if !self.has_room(window) && self.count(counted).await? == 0 {
            return Ok(u32::MAX);
        }
        let key = self.key(counted);
        let mut add = Cmd::new();
        add.arg("EVAL").arg(ADD).arg(1).arg(&key);
        add.arg(millis(window.min(MAX_TTL)));
        self.run(&add, &key, |value| match value {
            // This attempt is counted, so the count is at least one.
            Value::Int(count @ 1..) => {
                if count == 1 {
                    let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(of_window) = created.get_mut(&window) {
                        of_window.keys = of_window.keys.saturating_add(1);
                    }
                }
                Some(saturated(count))
            }
            _ => None,
        })
        .await
    }

    async fn count(&self, counted: &AttemptKey) -> Result<u32, AttemptStoreError> {
        let key = self.key(counted);
        let mut get = Cmd::new();
        get.arg("GET").arg(&key);
        self.run(&get, &key, |value| match value {
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

    async fn clear(&self, counted: &AttemptKey) -> Result<(), AttemptStoreError> {
        let key = self.key(counted);
        let mut del = Cmd::new();
        del.arg("DEL").arg(&key);
        self.run(&del, &key, |value| {
            matches!(value, Value::Int(0 | 1)).then_some(())
        })
        .await
    }
}

/// Converts a count. A count above `u32::MAX` becomes `u32::MAX`.
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
