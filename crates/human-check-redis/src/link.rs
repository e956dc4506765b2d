use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, Value};
use tokio::time::timeout;

use crate::error::{RedisStoreError, reply};
use crate::limits::Limits;

/// One connection, opened when it is first needed and again after it broke.
///
/// Written here and not left to the client's connection manager, which must be made inside a
/// runtime, keeps a connection whose server stopped answering, and knows nothing of a deadline
/// that covers the wait for a connection.
///
/// A command is written once. When its reply does not arrive, nobody knows whether it was done,
/// and nobody asks again.
pub(crate) struct Link {
    client: Client,
    open: Mutex<Option<Arc<Open>>>,
}

/// A connection, or the attempt to get one, shared by all who wait for it.
struct Open {
    connection: Shared<BoxFuture<'static, Result<MultiplexedConnection, Failed>>>,
    since: Instant,
    /// Milliseconds after `since`, plus one, when the oldest command was written that the server
    /// answered nothing after; zero when there is none. It outlives callers who gave up early.
    silent_since: AtomicU64,
}

#[derive(Clone)]
struct Failed {
    trouble: RedisStoreError,
    at: Instant,
}

/// A server that refuses us is asked for a connection so often and no more.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection younger than this is not given up for another that may lead elsewhere.
const SETTLED: Duration = Duration::from_secs(1);

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            open: Mutex::new(None),
        }
    }

    pub(crate) async fn ask(
        &self,
        command: &Cmd,
        limits: &Limits,
    ) -> Result<Value, RedisStoreError> {
        let open = self.open(limits);
        let connection = match open.connection.peek() {
            Some(done) => done.clone(),
            None => match timeout(limits.connect, open.connection.clone()).await {
                Ok(done) => done,
                Err(_) => {
                    self.forget(&open);
                    return Err(RedisStoreError::UNCONNECTED);
                }
            },
        };
        let mut connection = connection.map_err(|failed| failed.trouble)?;
        open.wrote();
        let answer = match timeout(limits.response, connection.send_packed_command(command)).await {
            Ok(Ok(value)) => reply(value),
            Ok(Err(error)) => Err(RedisStoreError::of_client(&error)),
            Err(_) => Err(RedisStoreError::TIMEOUT),
        };
        match &answer {
            Err(trouble) if trouble.wants_another_server() => {
                open.answered();
                if open.since.elapsed() > SETTLED {
                    self.forget(&open);
                }
            }
            Err(trouble) if !trouble.spares_connection() => self.forget(&open),
            _ => open.answered(),
        }
        answer
    }

    /// The next command gets a new connection. Those that wait on this one may still be answered.
    fn forget(&self, gone: &Arc<Open>) {
        let mut open = self.lock();
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, gone)) {
            *open = None;
        }
    }

    /// As [`forget`](Self::forget), whichever it is.
    pub(crate) fn reset(&self) {
        *self.lock() = None;
    }

    fn open(&self, limits: &Limits) -> Arc<Open> {
        let mut open = self.lock();
        if let Some(open) = open.as_ref().filter(|open| open.is_usable(limits)) {
            return Arc::clone(open);
        }
        let opening = Arc::new(Open::begin(self.client.clone(), limits.connect));
        *open = Some(Arc::clone(&opening));
        opening
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// In a task of its own, so that a caller who gives up takes nothing from the others.
    fn begin(client: Client, limit: Duration) -> Self {
        let task = tokio::spawn(async move {
            // Both deadlines are ours, since they also cover names, TLS and the login.
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(None)
                .set_response_timeout(None);
            let opening = client.get_multiplexed_async_connection_with_config(&config);
            match timeout(limit, opening).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(Failed::now(RedisStoreError::of_client(&error))),
                Err(_) => Err(Failed::now(RedisStoreError::UNCONNECTED)),
            }
        });
        let connection = async {
            // The task ends early only with its runtime.
            let ended = task.await;
            ended.unwrap_or_else(|_| Err(Failed::now(RedisStoreError::UNCONNECTED)))
        };
        Self {
            connection: connection.boxed().shared(),
            since: Instant::now(),
            silent_since: AtomicU64::new(0),
        }
    }

    fn is_usable(&self, limits: &Limits) -> bool {
        match self.connection.peek() {
            None => true,
            Some(Ok(_)) => match self.silent_since.load(Ordering::Relaxed) {
                0 => true,
                since => self.millis().saturating_sub(since) <= limits.response.as_millis() as u64,
            },
            Some(Err(failed)) => failed.at.elapsed() < PAUSE,
        }
    }

    fn wrote(&self) {
        if self.silent_since.load(Ordering::Relaxed) == 0 {
            self.silent_since.store(self.millis(), Ordering::Relaxed);
        }
    }

    fn answered(&self) {
        self.silent_since.store(0, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        self.since.elapsed().as_millis() as u64 + 1
    }
}

impl Failed {
    fn now(trouble: RedisStoreError) -> Self {
        Self {
            trouble,
            at: Instant::now(),
        }
    }
}
