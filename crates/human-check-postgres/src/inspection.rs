use std::fmt;
use std::net::IpAddr;

use sqlx::postgres::PgSslMode;
use sqlx::{Connection, PgConnection, Row};
use tokio::time::timeout;

use crate::{PostgresReplayStore, PostgresStoreError};

/// What a server says about itself and the table. [`PostgresReplayStore::inspect`] returns it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PostgresReport {
    /// The version, such as `15.18`.
    pub version: String,
    /// How many bytes the table has, with its indexes.
    pub table_bytes: Option<u64>,
    /// What breaks a guarantee of the store.
    pub warnings: Vec<PostgresWarning>,
}

/// A state of a server that breaks a guarantee of the store. [`PostgresReplayStore::inspect`] returns
/// them.
///
/// Its `Display` text says what follows and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PostgresWarning {
    /// `synchronous_commit` is `off`. A server that fails loses the claims of the last moment.
    AsynchronousCommit,
    /// The table does not exist, or not in a schema of the search path. This is its name.
    NoTable(String),
    /// No unique index holds the digests alone, so one token can be claimed any number of times.
    NotUnique(String),
    /// The user lacks one of the rights SELECT, INSERT, UPDATE and DELETE on the table.
    NotPermitted(String),
    /// Sessions of the user are read-only, by `default_transaction_read_only`.
    ReadOnly,
    /// The server is a standby and accepts no writes.
    Standby,
    /// The table is unlogged. The server empties it when it starts after a failure.
    Unlogged(String),
    /// The server is on another machine, and its certificate is not verified: `sslmode` is not
    /// `verify-full`.
    Unverified,
    /// The server is older than version 12. This is its version.
    UnsupportedVersion(String),
}

impl PostgresWarning {
    /// Returns whether claims fail on such a server, or protect nothing.
    pub fn prevents_claims(&self) -> bool {
        matches!(
            self,
            Self::NoTable(_)
                | Self::NotPermitted(_)
                | Self::NotUnique(_)
                | Self::ReadOnly
                | Self::Standby
        )
    }
}

impl PostgresReplayStore {
    /// Returns what the server says about itself and the table, with what breaks a guarantee of the
    /// store. Each warning is also logged as a `WARN` event of the target `human_check`. Call it once
    /// at the start.
    ///
    /// # Errors
    ///
    /// [`PostgresStoreError`] when the server cannot be reached or refuses.
    pub async fn inspect(&self) -> Result<PostgresReport, PostgresStoreError> {
        let report = self.report().await?;
        for warning in &report.warnings {
            tracing::warn!(target: "human_check", server = self.address(), "{warning}");
        }
        Ok(report)
    }

    /// Returns what [`inspect`](Self::inspect) returns, and logs nothing.
    ///
    /// # Errors
    ///
    /// As for [`inspect`](Self::inspect).
    pub async fn report(&self) -> Result<PostgresReport, PostgresStoreError> {
        const ASK: &str = "\
            SELECT current_setting('server_version') AS version, \
                current_setting('server_version_num')::int AS number, \
                current_setting('synchronous_commit') AS synchronous, \
                pg_is_in_recovery() AS standby, \
                current_setting('transaction_read_only') AS read_only, \
                c.relpersistence::text AS persistence, \
                EXISTS (SELECT FROM pg_index AS i \
                    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
                    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid \
                        AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = 'digest') \
                    AS uniquely, \
                pg_total_relation_size(c.oid) AS bytes, \
                has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT') \
                    AND has_table_privilege(c.oid, 'UPDATE') \
                    AND has_table_privilege(c.oid, 'DELETE') AS permitted \
            FROM (SELECT to_regclass($1) AS oid) AS named \
            LEFT JOIN pg_class AS c ON c.oid = named.oid";
        // Not through the pool, which tries again and again to reach a server that refuses, and hides why.
        let ask = async {
            let mut connection = PgConnection::connect_with(self.options()).await?;
            let asked = sqlx::query(ASK).bind(self.table().quoted());
            let row = asked.fetch_one(&mut connection).await;
            connection.close().await?;
            row
        };
        let row = match timeout(self.limit(), ask).await {
            Ok(row) => row.map_err(|error| PostgresStoreError::from_client(&error))?,
            Err(_) => return Err(PostgresStoreError::TIMEOUT),
        };
        let wrong = |error| PostgresStoreError::from_client(&error);
        let version: String = row.try_get("version").map_err(wrong)?;
        let number: i32 = row.try_get("number").map_err(wrong)?;
        let synchronous: String = row.try_get("synchronous").map_err(wrong)?;
        let standby: bool = row.try_get("standby").map_err(wrong)?;
        let read_only: String = row.try_get("read_only").map_err(wrong)?;
        let uniquely: bool = row.try_get("uniquely").map_err(wrong)?;
        let persistence: Option<String> = row.try_get("persistence").map_err(wrong)?;
        let bytes: Option<i64> = row.try_get("bytes").map_err(wrong)?;
        let permitted: Option<bool> = row.try_get("permitted").map_err(wrong)?;
        let version = printable(&version);
        let table = || self.table().name().to_owned();
        let mut warnings = Vec::new();
        if number < 120_000 {
            warnings.push(PostgresWarning::UnsupportedVersion(version.clone()));
        }
        match (standby, read_only.as_str()) {
            (true, _) => warnings.push(PostgresWarning::Standby),
            (_, "on") => warnings.push(PostgresWarning::ReadOnly),
            _ => {}
        }
        let options = self.options();
        let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
        if !is_verified && !is_local(options.get_host()) {
            warnings.push(PostgresWarning::Unverified);
        }
        if synchronous == "off" {
            warnings.push(PostgresWarning::AsynchronousCommit);
        }
        match (persistence.as_deref(), permitted) {
            (None, _) => warnings.push(PostgresWarning::NoTable(table())),
            (_, Some(false)) => warnings.push(PostgresWarning::NotPermitted(table())),
            _ if !uniquely => warnings.push(PostgresWarning::NotUnique(table())),
            (Some("u"), _) => warnings.push(PostgresWarning::Unlogged(table())),
            _ => {}
        }
        Ok(PostgresReport {
            version,
            table_bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            warnings,
        })
    }
}

/// Returns whether a host is this machine.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_loopback || host == "localhost" || host.starts_with('/')
}

/// Shortens a value of the server for logs, and removes characters that a terminal could interpret.
fn printable(value: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    // Debian adds its own version in brackets.
    let value = value.split_whitespace().next().unwrap_or_default();
    value.chars().filter(safe).take(40).collect()
}

impl fmt::Display for PostgresWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsynchronousCommit => f.write_str(
                "`synchronous_commit` is `off`, so a server that fails loses its last claims and their tokens are accepted again; set it to `on` for this user",
            ),
            Self::NoTable(table) => write!(
                f,
                "the table `{table}` is not in the search path of this user, or does not exist, so every claim fails; write `table` with its schema before a dot, or create it by the SQL of docs/how-to/multi-node.md#postgresql"
            ),
            Self::NotPermitted(table) => write!(
                f,
                "the user may not use the table `{table}`; grant it SELECT, INSERT, UPDATE and DELETE"
            ),
            Self::NotUnique(table) => write!(
                f,
                "the table `{table}` has no unique index on `digest`, so tokens are accepted again and again; run ALTER TABLE {table} ADD PRIMARY KEY (digest)"
            ),
            Self::ReadOnly => f.write_str(
                "sessions of this user are read-only, so every claim fails; set `default_transaction_read_only` to `off` for it",
            ),
            Self::Standby => f.write_str(
                "the server is a standby and accepts no writes, so every claim fails; use its primary",
            ),
            Self::Unlogged(table) => write!(
                f,
                "the table `{table}` is unlogged, so a server that fails forgets all claims and their tokens are accepted again; run ALTER TABLE {table} SET LOGGED"
            ),
            Self::Unverified => f.write_str(
                "the certificate of the server is not verified, so another machine may be in its place; write sslmode=verify-full into the URL",
            ),
            Self::UnsupportedVersion(version) => write!(
                f,
                "the server is version {version}; use PostgreSQL 12 or later"
            ),
        }
    }
}
