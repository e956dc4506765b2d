use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dial::Dial;
use crate::error::RedisStoreError;
use crate::limits::Limits;
use crate::request::{Reply, Request};

/// One connection to the server. It is opened when it is first needed, and again after it broke.
///
/// The connection manager of the Redis client is not used: it must be created inside a runtime, it
/// keeps a connection whose server stopped replying, and it has no timeout that covers the wait for
/// a connection.
///
/// A command is written once. When its reply does not arrive, the command was done or not, and it
/// is not sent again.
pub(crate) struct Link {
    dial: Arc<Dial>,
    open: Mutex<Option<Arc<Open>>>,
}

/// A connection, or the attempt to open one, which all its callers share.
struct Open {
    connection: Shared<BoxFuture<'static, Result<MultiplexedConnection, Failed>>>,
    since: Instant,
    /// When the oldest command was written since the last reply, in milliseconds after `since` plus
    /// one. Zero when every command has a reply. It also counts commands whose callers gave up
    /// early.
    waiting_since: AtomicU64,
}

/// A failed attempt to open a connection.
#[derive(Clone)]
struct Failed {
    error: RedisStoreError,
    at: Instant,
}

/// The minimum time between two attempts to open a connection.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A connection younger than this is kept when the server accepts no writes, so that a replica does
/// not cause a new connection for each command.
const MIN_AGE_TO_RECONNECT: Duration = Duration::from_secs(1);

impl Link {
    /// Creates a link without a connection.
    pub(crate) fn new(dial: Arc<Dial>) -> Self {
        Self {
            dial,
            open: Mutex::new(None),
        }
    }

    /// Sends a request and waits for its reply, within the connect and the response timeout
    /// together. A redirection of a cluster is a value.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] for another error reply, and when no reply arrives.
    pub(crate) async fn run(
        &self,
        request: Request<'_>,
        limits: &Limits,
    ) -> Result<Reply, RedisStoreError> {
        // The clock is read once for a command on an open connection.
        let mut now = Instant::now();
        let open = self.open(limits, now);
        let connection = match open.connection.peek() {
            Some(done) => done.clone(),
            None => match timeout(limits.connect, open.connection.clone()).await {
                Ok(done) => {
                    now = Instant::now();
                    done
                }
                Err(_) => {
                    self.discard(&open, &RedisStoreError::UNCONNECTED);
                    return Err(RedisStoreError::UNCONNECTED);
                }
            },
        };
        let mut connection = connection.map_err(|failed| failed.error)?;
        open.record_write(now);
        let replied = request.send(&mut connection);
        let outcome = match timeout_at(now + limits.response, replied).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RedisStoreError::TIMEOUT),
        };
        match &outcome {
            Err(error) if error.needs_reconnect() => {
                open.record_reply();
                if open.since.elapsed() > MIN_AGE_TO_RECONNECT {
                    self.discard(&open, error);
                }
            }
            Err(error) if !error.keeps_connection() => self.discard(&open, error),
            _ => open.record_reply(),
        }
        outcome
    }

    /// Discards a connection, so that the next command opens another one. Commands that wait on the
    /// discarded one may still get their replies.
    ///
    /// Where it broke soon after it was opened, commands get its error for a short time: a server that
    /// accepts connections and closes them again must not get one for each command.
    fn discard(&self, discarded: &Arc<Open>, error: &RedisStoreError) {
        let mut open = self.lock();
        if open
            .as_ref()
            .is_some_and(|open| Arc::ptr_eq(open, discarded))
        {
            *open = Some(Arc::new(Open::failed(error.clone(), discarded.since)));
        }
    }

    /// Discards the connection, whichever it is.
    pub(crate) fn reset(&self) {
        let mut open = self.lock();
        if let Some(discarded) = &*open {
            let failed = Open::failed(RedisStoreError::PROTOCOL, discarded.since);
            *open = Some(Arc::new(failed));
        }
    }

    /// Returns the connection, or begins to open one.
    fn open(&self, limits: &Limits, now: Instant) -> Arc<Open> {
        let mut open = self.lock();
        if let Some(open) = open.as_ref().filter(|open| open.is_usable(limits, now)) {
            return Arc::clone(open);
        }
        let opening = Arc::new(Open::begin(Arc::clone(&self.dial), limits));
        *open = Some(Arc::clone(&opening));
        opening
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Begins to open a connection, in a task of its own: a caller that gives up does not abort the
    /// attempt for the other callers.
    fn begin(dial: Arc<Dial>, limits: &Limits) -> Self {
        let Limits {
            connect,
            max_in_flight,
            ..
        } = *limits;
        let task = tokio::spawn(async move {
            // The client's own timeouts do not cover the look-up of the name, TLS and the login, so
            // the timeouts of this crate replace them.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None)
                // So that no command waits for a place in the client's queue.
                .set_pipeline_buffer_size(max_in_flight.min(1_024));
            match timeout(connect, dial.connect(&config)).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(Failed::now(error)),
                Err(_) => Err(Failed::now(RedisStoreError::UNCONNECTED)),
            }
        });
        let connection = async {
            // The task is cancelled only when its runtime shuts down.
            let ended = task.await;
            ended.unwrap_or_else(|_| Err(Failed::now(RedisStoreError::UNCONNECTED)))
        };
        Self {
            connection: connection.boxed().shared(),
            since: Instant::now(),
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Returns what stands for a connection that was opened at `since` and broke.
    fn failed(error: RedisStoreError, since: Instant) -> Self {
        let failed = Failed { error, at: since };
        let connection = std::future::ready(Err(failed)).boxed().shared();
        // Only what was polled once can be looked at.
        let _ = connection.clone().now_or_never();
        Self {
            connection,
            since,
            waiting_since: AtomicU64::new(0),
        }
    }

    /// Returns whether the next command may use the connection. A failed attempt counts as usable
    /// for a short time, so that not every command causes another attempt.
    fn is_usable(&self, limits: &Limits, now: Instant) -> bool {
        match self.connection.peek() {
            None => true,
            Some(Ok(_)) => match self.waiting_since.load(Ordering::Relaxed) {
                0 => true,
                since => {
                    self.millis(now).saturating_sub(since) <= limits.response.as_millis() as u64
                }
            },
            Some(Err(failed)) => now.saturating_duration_since(failed.at) < RECONNECT_PAUSE,
        }
    }

    fn record_write(&self, now: Instant) {
        if self.waiting_since.load(Ordering::Relaxed) == 0 {
            self.waiting_since
                .store(self.millis(now), Ordering::Relaxed);
        }
    }

    fn record_reply(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_millis() as u64 + 1
    }
}

impl Failed {
    fn now(error: RedisStoreError) -> Self {
        Self {
            error,
            at: Instant::now(),
        }
    }
}
