use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::{
    ClaimError, Claimed, Clock, ConfigError, DigestKey, ReplayStore, Secret, SystemClock, TokenId,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, Postgres};
use tokio::time::{Instant, timeout_at};

use crate::error::PostgresStoreError;
use crate::table::{BATCH, Table};

/// The maximum ttl of a claim: 366 days, as on Redis.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3_600);

/// How often a process that claims deletes claims that have expired.
const DELETE_EVERY: Duration = Duration::from_secs(10);

/// A connection that rested longer is tried before it is used, because it may have broken.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// A replay store on PostgreSQL, version 12 or later. Each token passes once over all processes that
/// share the table and the secret.
///
/// Use it when several processes verify tokens and there is a PostgreSQL server and no Redis. A
/// claim is one statement, `INSERT … ON CONFLICT DO NOTHING`, which the server writes to its log
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
    source: Source,
    digest: DigestKey,
    table: Table,
    timeout: Duration,
    shared: Arc<Shared>,
}

/// Where the connections come from.
#[derive(Clone)]
enum Source {
    /// A pool of this store's own, which the first claim opens.
    Own(Box<PgConnectOptions>, u32),
    /// A pool of the application.
    Given(PgPool),
}

/// What clones of a store share.
#[derive(Default)]
struct Shared {
    pool: OnceLock<PgPool>,
    /// How many claims have a connection.
    connected: AtomicUsize,
    /// Whether claims are being deleted.
    is_deleting: AtomicBool,
    /// When they were last deleted, in milliseconds of uptime plus one. Zero before the first time.
    deleted_at: AtomicU64,
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
        Ok(Self::with_source(Source::Own(Box::new(options), 5), secret))
    }

    /// Creates a store on a pool of the application.
    ///
    /// Its limits are then those of the pool: give it some connections that no long transaction
    /// holds.
    pub fn from_pool(pool: PgPool, secret: &Secret) -> Self {
        Self::with_source(Source::Given(pool), secret)
    }

    fn with_source(source: Source, secret: &Secret) -> Self {
        Self {
            source,
            digest: DigestKey::from_secret(secret),
            table: Table::default(),
            timeout: Duration::from_secs(1),
            shared: Arc::default(),
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
        Ok(self)
    }

    /// Sets the maximum time of a claim, with the wait for a connection. Default: one second. When it
    /// passes, the claim fails with `store-timeout`, `store-busy` or `store-unreachable`.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self.shared = Arc::default();
        self
    }

    /// Sets the maximum number of connections. Default: five. Zero counts as one. A pool of the
    /// application keeps its own limit.
    ///
    /// Each claim has a connection for the time of one statement. The server has 100 connections by
    /// default, for all processes together.
    #[must_use]
    pub fn with_max_connections(mut self, count: u32) -> Self {
        if let Source::Own(_, max) = &mut self.source {
            *max = count.max(1);
        }
        self.shared = Arc::default();
        self
    }

    /// Creates the table and its index, if they do not exist. The user needs the right to create
    /// them; a migration tool can run [`MIGRATION`](crate::MIGRATION) instead.
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError`] when the server cannot be reached or refuses.
    pub async fn create_table(&self) -> Result<(), PostgresStoreError> {
        let migration = self.table.migration();
        let created = sqlx::raw_sql(&migration).execute(self.pool()).await;
        match created {
            Ok(_) => Ok(()),
            Err(error) => Err(PostgresStoreError::from_client(&error)),
        }
    }

    /// Deletes the claims that have expired, in batches, and returns how many they were.
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
            let batch = sqlx::query(&self.table.delete_expired)
                .execute(self.pool())
                .await;
            let batch = batch.map_err(|error| PostgresStoreError::from_client(&error))?;
            deleted += batch.rows_affected();
            if batch.rows_affected() < BATCH {
                return Ok(deleted);
            }
        }
    }

    /// Returns host, port and database, without user and password.
    pub fn address(&self) -> String {
        let options = self.options();
        let database = options.get_database().unwrap_or_default();
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }

    pub(crate) fn table(&self) -> &str {
        self.table.name()
    }

    /// Returns how to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        match &self.source {
            Source::Own(options, _) => (**options).clone(),
            Source::Given(pool) => (*pool.connect_options()).clone(),
        }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.timeout
    }

    /// Returns the pool. The first call opens it, inside of a runtime.
    pub(crate) fn pool(&self) -> &PgPool {
        let (options, max) = match &self.source {
            Source::Given(pool) => return pool,
            Source::Own(options, max) => (options, max),
        };
        self.shared.pool.get_or_init(|| {
            PgPoolOptions::new()
                .max_connections(*max)
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
                .connect_lazy_with((**options).clone())
        })
    }

    /// Runs the statement that claims a digest.
    async fn insert(&self, digest: [u8; 16], ttl: Duration) -> Result<Claimed, PostgresStoreError> {
        let deadline = Instant::now() + self.timeout;
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
        let mut held = Held::new(connection, &self.shared.connected);
        let insert = sqlx::query(&self.table.claim)
            .bind(&digest[..])
            .bind(ttl.as_secs_f64());
        match timeout_at(deadline, insert.execute(&mut *held.connection)).await {
            Err(_) => Err(PostgresStoreError::TIMEOUT),
            Ok(Err(error)) => {
                let error = PostgresStoreError::from_client(&error);
                // A new connection may lead to another server, which accepts writes.
                held.is_good = matches!(
                    error.reason(),
                    "store-auth" | "store-no-table" | "store-full"
                );
                Err(error)
            }
            Ok(Ok(done)) => {
                held.is_good = true;
                match done.rows_affected() {
                    0 => Ok(Claimed::Duplicate),
                    1 => Ok(Claimed::First),
                    _ => Err(PostgresStoreError::PROTOCOL),
                }
            }
        }
    }

    /// Returns whether all connections are in use.
    fn is_busy(&self) -> bool {
        let pool = self.pool();
        let in_use = match &self.source {
            // The pool also counts connections that it cannot open.
            Source::Own(..) => self.shared.connected.load(Ordering::Relaxed),
            Source::Given(_) => pool.size() as usize,
        };
        in_use >= pool.options().get_max_connections() as usize
    }

    /// Deletes expired claims in the background, unless that was done a short time ago.
    fn delete_expired_at_times(&self) {
        let now = SystemClock.uptime().as_millis() as u64 + 1;
        let is_due = match self.shared.deleted_at.load(Ordering::Relaxed) {
            0 => true,
            before => now.saturating_sub(before) >= DELETE_EVERY.as_millis() as u64,
        };
        if !is_due || self.shared.is_deleting.swap(true, Ordering::Relaxed) {
            return;
        }
        self.shared.deleted_at.store(now, Ordering::Relaxed);
        let store = self.clone();
        drop(tokio::spawn(async move {
            if let Err(error) = store.delete_expired().await {
                let reason = error.reason();
                tracing::warn!(target: "human_check", server = store.address(), reason, "expired claims cannot be deleted, so the table grows");
            }
            store.shared.is_deleting.store(false, Ordering::Relaxed);
        }));
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
    connected: &'a AtomicUsize,
    is_good: bool,
}

impl<'a> Held<'a> {
    fn new(connection: sqlx::pool::PoolConnection<Postgres>, connected: &'a AtomicUsize) -> Self {
        connected.fetch_add(1, Ordering::Relaxed);
        Self {
            connection,
            connected,
            is_good: false,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
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
