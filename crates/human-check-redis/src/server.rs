use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use human_check::{ConfigError, Secret};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::Finding;
use crate::failure::reason;

/// A Redis or Valkey server. Clones share one connection.
///
/// Nothing is connected before the first command, and what breaks is connected again by the next
/// one. Needs a running tokio runtime when it is used, not when it is made. `Debug` shows no
/// address.
#[derive(Clone)]
pub struct RedisServer(Arc<Inner>);

struct Inner {
    client: Client,
    /// Where commands go, once there were any.
    connection: Mutex<Option<ConnectionManager>>,
    places: Semaphore,
    patience: Duration,
}

impl RedisServer {
    /// The server at `url`, `redis://` or with TLS `rediss://`. It is a secret since it may hold a
    /// password.
    ///
    /// A command is given up after 500 ms, connecting included, and 1,024 are under way at most.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is no such URL. Nothing is connected yet.
    pub fn new(url: &Secret) -> Result<Self, ConfigError> {
        Self::with_limits(url, Duration::from_millis(500), 1_024)
    }

    /// The same with another patience and number of commands under way.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_limits(url: &Secret, patience: Duration, most: usize) -> Result<Self, ConfigError> {
        let wrong =
            |problem: &'static str, remedy: &'static str| ConfigError::new("url", problem, remedy);
        let text = url.expose();
        if !(text.starts_with("redis://") || text.starts_with("rediss://")) {
            return Err(wrong(
                "does not begin with redis:// or rediss://",
                "write redis://host:6379, or rediss:// for TLS",
            ));
        }
        if text.starts_with("rediss://") {
            prepare_tls()?;
        }
        let client = Client::open(text).map_err(|_| {
            wrong(
                "is no URL of a Redis server",
                "write redis://user:password@host:6379/0, with special characters percent-encoded",
            )
        })?;
        Ok(Self(Arc::new(Inner {
            client,
            connection: Mutex::new(None),
            places: Semaphore::new(most.min(Semaphore::MAX_PERMITS)),
            patience,
        })))
    }

    /// Sends one command, once. The error is a short name of a fixed set.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, &'static str> {
        let _place = self.0.places.try_acquire().map_err(|_| "store-busy")?;
        let sent = async {
            let mut connection = self.connection().map_err(|error| reason(&error))?;
            let answer = connection.send_packed_command(command).await;
            let answer = answer.and_then(Value::extract_error);
            answer.map_err(|error| {
                let reason = reason(&error);
                if reason == "store-readonly" {
                    // What was the primary is one no more; the name may lead elsewhere by now.
                    self.forget_connection();
                }
                reason
            })
        };
        timeout(self.0.patience, sent)
            .await
            .unwrap_or(Err("store-timeout"))
    }

    fn connection(&self) -> redis::RedisResult<ConnectionManager> {
        let mut kept = self.lock();
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        // Commands are not held back while it tries again and again: each fails at once, and causes
        // one more try.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.0.patience))
            .set_response_timeout(Some(self.0.patience));
        let connection = ConnectionManager::new_lazy_with_config(self.0.client.clone(), config)?;
        *kept = Some(connection.clone());
        Ok(connection)
    }

    fn forget_connection(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ConnectionManager>> {
        let connection = self.0.connection.lock();
        connection.unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for settings of the server that break single use. To be called at start; each finding is
    /// also logged as a warning.
    ///
    /// # Errors
    ///
    /// A short name of why the server cannot be asked.
    pub async fn inspect(&self) -> Result<Vec<Finding>, &'static str> {
        let mut findings = Vec::new();
        let info = self.send(redis::cmd("INFO").arg("server")).await?;
        match version(&text(&info)) {
            // Valkey calls itself Redis 7.2 here.
            Some((version, major)) if major < 6 => findings.push(Finding::TooOld { version }),
            Some(_) => {}
            None => findings.push(Finding::Unknown { what: "version" }),
        }
        let policy = redis::cmd("CONFIG")
            .arg("GET")
            .arg("maxmemory-policy")
            .to_owned();
        let unknown = Finding::Unknown {
            what: "maxmemory-policy",
        };
        match self.send(&policy).await {
            Ok(answer) => match last_text(&answer) {
                Some(policy) if policy == "noeviction" => {}
                Some(policy) => findings.push(Finding::Evicts { policy }),
                None => findings.push(unknown),
            },
            Err("store-other" | "store-auth") => findings.push(unknown),
            Err(reason) => return Err(reason),
        }
        let role = self.send(redis::cmd("INFO").arg("replication")).await?;
        if text(&role).lines().any(|line| line.trim() == "role:slave") {
            findings.push(Finding::Replica);
        }
        for finding in &findings {
            tracing::warn!(target: "human_check_redis", "{finding}");
        }
        Ok(findings)
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("patience", &self.0.patience)
            .finish_non_exhaustive()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

fn last_text(value: &Value) -> Option<String> {
    match value {
        Value::Array(values) => values.last().map(text),
        Value::Map(pairs) => pairs.last().map(|(_, value)| text(value)),
        _ => None,
    }
}

fn version(info: &str) -> Option<(String, u32)> {
    let mut lines = info.lines();
    let version = lines.find_map(|line| line.trim().strip_prefix("redis_version:"))?;
    let major = version.split('.').next()?.parse().ok()?;
    Some((version.to_owned(), major))
}

/// The client takes the process's TLS library. Where the application chose none, ours is ring, as
/// for vendors.
#[cfg(feature = "rustls")]
fn prepare_tls() -> Result<(), ConfigError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else was faster: just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Ok(())
}

#[cfg(not(feature = "rustls"))]
fn prepare_tls() -> Result<(), ConfigError> {
    Err(ConfigError::new(
        "url",
        "asks for TLS, which was not compiled in",
        "turn the feature `rustls` on",
    ))
}
