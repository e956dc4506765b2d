use std::fmt;

use sqlx::Row;
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
    /// The user may not insert into the table, or not select and delete from it.
    NotPermitted(String),
    /// The server is a standby and accepts no writes.
    Standby,
    /// The table is unlogged. The server empties it when it starts after a failure.
    Unlogged(String),
    /// The server is older than version 12. This is its version.
    UnsupportedVersion(String),
}

impl PostgresWarning {
    /// Returns whether claims fail on such a server.
    pub fn prevents_claims(&self) -> bool {
        matches!(
            self,
            Self::NoTable(_) | Self::NotPermitted(_) | Self::Standby
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
                c.relpersistence::text AS persistence, \
                pg_total_relation_size(c.oid) AS bytes, \
                has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT') \
                    AND has_table_privilege(c.oid, 'DELETE') AS permitted \
            FROM (SELECT to_regclass($1) AS oid) AS named \
            LEFT JOIN pg_class AS c ON c.oid = named.oid";
        let asked = sqlx::query(ASK).bind(self.table()).fetch_one(self.pool());
        // The wait for a connection has the same limit.
        let row = match timeout(self.limit() * 2, asked).await {
            Ok(row) => row.map_err(|error| PostgresStoreError::from_client(&error))?,
            Err(_) => return Err(PostgresStoreError::TIMEOUT),
        };
        let wrong = |error| PostgresStoreError::from_client(&error);
        let version: String = row.try_get("version").map_err(wrong)?;
        let number: i32 = row.try_get("number").map_err(wrong)?;
        let synchronous: String = row.try_get("synchronous").map_err(wrong)?;
        let standby: bool = row.try_get("standby").map_err(wrong)?;
        let persistence: Option<String> = row.try_get("persistence").map_err(wrong)?;
        let bytes: Option<i64> = row.try_get("bytes").map_err(wrong)?;
        let permitted: Option<bool> = row.try_get("permitted").map_err(wrong)?;
        let version = printable(&version);
        let table = || self.table().to_owned();
        let mut warnings = Vec::new();
        if number < 120_000 {
            warnings.push(PostgresWarning::UnsupportedVersion(version.clone()));
        }
        if standby {
            warnings.push(PostgresWarning::Standby);
        }
        if synchronous == "off" {
            warnings.push(PostgresWarning::AsynchronousCommit);
        }
        match (persistence.as_deref(), permitted) {
            (None, _) => warnings.push(PostgresWarning::NoTable(table())),
            (_, Some(false)) => warnings.push(PostgresWarning::NotPermitted(table())),
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
                "the table `{table}` does not exist, so every claim fails; run the SQL of migrations/0001_claims.sql"
            ),
            Self::NotPermitted(table) => write!(
                f,
                "the user may not use the table `{table}`; grant it SELECT, INSERT and DELETE"
            ),
            Self::Standby => f.write_str(
                "the server is a standby and accepts no writes, so every claim fails; use its primary",
            ),
            Self::Unlogged(table) => write!(
                f,
                "the table `{table}` is unlogged, so a server that fails forgets all claims and their tokens are accepted again; run ALTER TABLE {table} SET LOGGED"
            ),
            Self::UnsupportedVersion(version) => write!(
                f,
                "the server is version {version}; use PostgreSQL 12 or later"
            ),
        }
    }
}
