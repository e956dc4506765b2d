use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{
    ClaimError, Claimed, Clock, ConfigError, DigestKey, ReplayStore, Secret, SystemClock, TokenId,
};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::PostgresStoreError;
use crate::table::{BATCH, Table};

/// The maximum ttl of a claim: 366 days, as on Redis.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3_600);

/// The longest time limit. Sums of limits fit into the clock.
const MAX_LIMIT: Duration = Duration::from_secs(3_600);

/// How often a process that claims deletes claims that have expired.
const DELETE_EVERY: Duration = Duration::from_secs(10);

/// A connection that rested longer is tried before it is used, because it may have broken.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// A replay store on PostgreSQL, version 12 or later. Each token passes once over all processes that
/// share the table and the secret.
///
/// Use it when several processes verify tokens and there is a PostgreSQL server and no Redis. A
/// claim is one statement, `INSERT … ON CONFLICT (digest) DO NOTHING`, which the server writes to its log
/// before it replies. A row is a keyed digest of the token. The token itself is not sent.
///
/// It creates no table: [`MIGRATION`](crate::MIGRATION) has the SQL, and
/// [`create_table`](Self::create_table) runs it. Claims that have expired are deleted by the processes
/// that claim, at most every ten seconds, in batches of 1,000.
///
/// When no reply arrives, the token is claimed or not, and the claim is an error: the guard refuses
/// the request unless the route fails open. A statement is never sent again. Dropping the future of a
/// claim leaves the token claimed or not, and closes its connection.
///
/// ```
/// use human_check_core::Secret;
/// use human_check_postgres::PostgresReplayStore;
///
/// // No connection yet, and no runtime needed.
/// let url = Secret::new("postgres://human-check:a-password@db.internal/app?sslmode=verify-full")?;
/// let store = PostgresReplayStore::new(&url, &Secret::new("shared-by-all-machines")?)?;
/// assert!(!format!("{store:?}").contains("a-password"));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PostgresReplayStore {
    options: Arc<PgConnectOptions>,
    max_connections: u32,
    digest: DigestKey,
    table: Table,
    timeout: Duration,
    connections: Arc<Connections>,
    deletion: Arc<Deletion>,
}

/// The connections, which clones of a store share.
#[derive(Default)]
struct Connections {
    /// Opened by the first claim, inside of a runtime.
    pool: OnceLock<PgPool>,
    /// How many of them have a statement in flight.
    in_use: AtomicUsize,
}

/// The deletion of claims that expired, which clones with the same table share.
#[derive(Default)]
struct Deletion {
    is_going_on: AtomicBool,
    /// When it last began, in milliseconds of uptime plus one. Zero before the first time.
    began_at: AtomicU64,
}

impl PostgresReplayStore {
    /// Creates a store with connections of its own, from a URL such as
    /// `postgres://user:password@host:port/database?sslmode=verify-full`.
    ///
    /// The URL is a secret because it may hold a password: `Debug`, errors and logs show host, port
    /// and database only. Without `sslmode` the connection uses TLS if the server offers it, and does
    /// not verify the certificate; write `verify-full` outside of private networks.
    ///
    /// `secret` is the key of the digests. It must be the same in every process that shares the
    /// table; with another secret, a process accepts tokens that the others claimed.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the URL is not of this form, or holds a setting that is not known.
    pub fn new(url: &Secret, secret: &Secret) -> Result<Self, ConfigError> {
        let invalid = || {
            ConfigError::new(
                "url",
                "is not the address of a PostgreSQL database",
                "write postgres://user:password@host:port/database?sslmode=verify-full, with special characters percent-encoded",
            )
        };
        let scheme = url.expose().split("://").next();
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(invalid());
        }
        refuse_what_is_not_read(url.expose())?;
        let options = PgConnectOptions::from_str(url.expose()).map_err(|_| invalid())?;
        // Statements in the log would be noise, and their values are none of its business.
        let options = options.disable_statement_logging();
        Ok(Self::with_options(options, secret))
    }

    /// Creates a store that connects as a pool of the application does, with connections of its own.
    ///
    /// It takes none of the pool's: a claim must be written before it counts, and a connection of an
    /// application may be inside of a transaction that is undone later.
    pub fn from_pool(pool: &PgPool, secret: &Secret) -> Self {
        let options = (*pool.connect_options()).clone();
        Self::with_options(options.disable_statement_logging(), secret)
    }

    fn with_options(options: PgConnectOptions, secret: &Secret) -> Self {
        Self {
            options: Arc::new(options),
            max_connections: 5,
            digest: DigestKey::from_secret(secret),
            table: Table::default(),
            timeout: Duration::from_secs(1),
            connections: Arc::default(),
            deletion: Arc::default(),
        }
    }

    /// Sets the table, with its schema before a dot if it is not in the search path. Default:
    /// `human_check_claims`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a name with other characters than small letters, digits and `_`, or of
    /// more than 40.
    pub fn with_table(mut self, name: &str) -> Result<Self, ConfigError> {
        self.table = Table::named(name)?;
        self.deletion = Arc::default();
        Ok(self)
    }

    /// Sets the maximum time of a claim, with the wait for a connection. Default: one second. At most
    /// one hour. When it passes, the claim fails with `store-timeout`, `store-busy` or
    /// `store-unreachable`.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit.min(MAX_LIMIT);
        self.connections = Arc::default();
        self
    }

    /// Sets the maximum number of connections. Default: five. Zero counts as one.
    ///
    /// Each claim has a connection for the time of one statement. The server has 100 connections by
    /// default, for all processes together.
    #[must_use]
    pub fn with_max_connections(mut self, count: u32) -> Self {
        self.max_connections = count.max(1);
        self.connections = Arc::default();
        self
    }

    /// Creates the table and its index, unless the table exists. The user needs the right to create
    /// them; a migration tool can run [`MIGRATION`](crate::MIGRATION) instead. Several processes may
    /// call it at the same time. It ends within ten times the [timeout](Self::with_timeout).
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError`] when the server cannot be reached or refuses.
    pub async fn create_table(&self) -> Result<(), PostgresStoreError> {
        let create = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            let exists = sqlx::query("SELECT 1 WHERE to_regclass($1) IS NOT NULL");
            let exists = exists.bind(self.table.quoted());
            if exists.fetch_optional(&mut connection).await?.is_none() {
                let mut transaction = connection.begin().await?;
                for statement in self.table.creation() {
                    sqlx::query(&statement).execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
            connection.close().await
        };
        match timeout(self.timeout * 10, create).await {
            Ok(created) => created.map_err(|error| PostgresStoreError::from_client(&error)),
            Err(_) => Err(PostgresStoreError::TIMEOUT),
        }
    }

    /// Deletes the claims that have expired, in batches, and returns how many they were. Each batch
    /// has ten times the [timeout](Self::with_timeout).
    ///
    /// A store does this by itself while it claims. Dropping the future leaves the batches of before
    /// deleted.
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError`] when the server cannot be reached or refuses.
    pub async fn delete_expired(&self) -> Result<u64, PostgresStoreError> {
        let mut deleted = 0;
        loop {
            let batch = sqlx::query(&self.table.delete_expired);
            let batch = self.run(batch, self.timeout * 10).await?;
            deleted += batch;
            if batch < BATCH {
                return Ok(deleted);
            }
        }
    }

    /// Returns host, port and database, without user and password.
    pub fn address(&self) -> String {
        let database = self.options.get_database().unwrap_or_default();
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("{host}:{port}/{database}")
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(crate) fn limit(&self) -> Duration {
        self.timeout
    }

    /// Returns the pool. The first call opens it, inside of a runtime.
    fn pool(&self) -> &PgPool {
        self.connections.pool.get_or_init(|| {
            PgPoolOptions::new()
                .max_connections(self.max_connections)
                .acquire_timeout(self.timeout)
                // Not before each claim, which would double its time.
                .test_before_acquire(false)
                .before_acquire(|connection, about| {
                    Box::pin(async move {
                        if about.idle_for > TRIED_AFTER {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_lazy_with((*self.options).clone())
        })
    }

    /// Runs the statement that claims a digest.
    async fn insert(&self, digest: [u8; 16], ttl: Duration) -> Result<Claimed, PostgresStoreError> {
        let insert = sqlx::query(&self.table.claim);
        let insert = insert.bind(&digest[..]).bind(ttl.as_secs_f64());
        match self.run(insert, self.timeout).await? {
            0 => Ok(Claimed::Duplicate),
            1 => Ok(Claimed::First),
            _ => Err(PostgresStoreError::PROTOCOL),
        }
    }

    /// Runs a statement on one of the connections, and returns the number of rows that it wrote.
    async fn run(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
        limit: Duration,
    ) -> Result<u64, PostgresStoreError> {
        let deadline = Instant::now() + limit;
        let was_busy = self.is_busy();
        let acquired = timeout_at(deadline, self.pool().acquire()).await;
        let connection = match acquired {
            Ok(Ok(connection)) => connection,
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                return Err(match was_busy || self.is_busy() {
                    true => PostgresStoreError::BUSY,
                    false => PostgresStoreError::UNCONNECTED,
                });
            }
            Ok(Err(error)) => return Err(PostgresStoreError::from_client(&error)),
        };
        let mut held = Held::new(connection, &self.connections.in_use);
        match timeout_at(deadline, statement.execute(&mut *held.connection)).await {
            Err(_) => Err(PostgresStoreError::TIMEOUT),
            Ok(Err(error)) => {
                let error = PostgresStoreError::from_client(&error);
                // A new connection may lead to another server, which accepts writes.
                let keeps = ["store-auth", "store-table", "store-full"];
                held.is_good = keeps.contains(&error.reason());
                Err(error)
            }
            Ok(Ok(done)) => {
                held.is_good = true;
                Ok(done.rows_affected())
            }
        }
    }

    /// Returns whether all connections are in use.
    fn is_busy(&self) -> bool {
        self.connections.in_use.load(Ordering::Relaxed) >= self.max_connections as usize
    }

    /// Deletes expired claims in the background, unless that was done a short time ago.
    fn delete_expired_at_times(&self) {
        let now = SystemClock.uptime().as_millis() as u64 + 1;
        let is_due = match self.deletion.began_at.load(Ordering::Relaxed) {
            0 => true,
            before => now.saturating_sub(before) >= DELETE_EVERY.as_millis() as u64,
        };
        if !is_due || self.deletion.is_going_on.swap(true, Ordering::Relaxed) {
            return;
        }
        self.deletion.began_at.store(now, Ordering::Relaxed);
        // Also if the task is dropped with its runtime.
        let going_on = GoingOn(Arc::clone(&self.deletion));
        let store = self.clone();
        drop(tokio::spawn(async move {
            let _going_on = going_on;
            if let Err(error) = store.delete_expired().await {
                let (server, reason) = (store.address(), error.reason());
                tracing::warn!(target: "human_check", server, reason, "expired claims cannot be deleted, so the table grows");
            }
        }));
    }
}

/// A deletion that goes on until this is dropped.
struct GoingOn(Arc<Deletion>);

impl Drop for GoingOn {
    fn drop(&mut self) {
        self.0.is_going_on.store(false, Ordering::Relaxed);
    }
}

/// The settings of a URL that the client reads. It ignores all others, also a misspelt `sslmode`.
const SETTINGS: [&str; 11] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Refuses a URL of which the client would ignore a part, or show a part of the password as another one.
fn refuse_what_is_not_read(url: &str) -> Result<(), ConfigError> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password with one of these signs ends the host too early, and the `@` before the host is in what
    // follows.
    if rest[end..].contains(['@', '#']) {
        return Err(ConfigError::new(
            "url",
            "has an `@` or `#` behind the host, as with a password that is not encoded",
            "percent-encode the special characters of user and password, such as `/` as %2F, `?` as %3F, `#` as %23 and `@` as %40",
        ));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter(|setting| !setting.is_empty());
    let mut names = names.map(|setting| setting.split('=').next().unwrap_or_default());
    match names.any(|name| !SETTINGS.contains(&name)) {
        true => Err(ConfigError::new(
            "url",
            "holds a setting that is not known, and would be ignored",
            format!("use only {}", SETTINGS.join(", ")),
        )),
        false => Ok(()),
    }
}

/// A connection with a statement in flight. It is closed unless the statement ended well: the server
/// may be about to reply to it.
struct Held<'a> {
    connection: sqlx::pool::PoolConnection<Postgres>,
    in_use: &'a AtomicUsize,
    is_good: bool,
}

impl<'a> Held<'a> {
    fn new(connection: sqlx::pool::PoolConnection<Postgres>, in_use: &'a AtomicUsize) -> Self {
        in_use.fetch_add(1, Ordering::Relaxed);
        Self {
            connection,
            in_use,
            is_good: false,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.in_use.fetch_sub(1, Ordering::Relaxed);
        if !self.is_good {
            self.connection.close_on_drop();
        }
    }
}

#[async_trait]
impl ReplayStore for PostgresReplayStore {
    fn max_ttl(&self) -> Duration {
        MAX_TTL
    }

    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        if ttl > MAX_TTL {
            return Err(ClaimError::new("ttl-too-long"));
        }
        match self.insert(token.digest(&self.digest), ttl).await {
            Ok(claimed) => {
                self.delete_expired_at_times();
                Ok(claimed)
            }
            Err(error) => {
                let is_misconfiguration = error.is_misconfiguration();
                let claim_error = ClaimError::new(error.reason()).with_source(error);
                Err(match is_misconfiguration {
                    true => claim_error.with_misconfiguration(),
                    false => claim_error,
                })
            }
        }
    }
}

impl fmt::Debug for PostgresReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplayStore")
            .field("address", &self.address())
            .field("table", &self.table.name())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
