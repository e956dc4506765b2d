use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use sqlx::Error as SqlError;

/// A statement of a store on PostgreSQL failed. After some errors the token is claimed or not.
///
/// It shows a [`reason`](Self::reason), and the server's error code (SQLSTATE) or the kind of I/O
/// error. The text of the server is left out, because it may hold values of a statement.
///
/// [`PostgresReplayStore`](crate::PostgresReplayStore) returns it as the source of its own errors,
/// and directly from `inspect`.
#[derive(Clone, Debug)]
pub struct PostgresStoreError {
    reason: &'static str,
    detail: Cow<'static, str>,
}

impl PostgresStoreError {
    pub(crate) const BUSY: Self = Self::new("store-busy", "all connections are in use");
    pub(crate) const PROTOCOL: Self =
        Self::new("store-protocol", "the reply does not fit the statement");
    pub(crate) const TIMEOUT: Self = Self::new("store-timeout", "no reply within the timeout");
    pub(crate) const UNCONNECTED: Self =
        Self::new("store-unreachable", "no connection within the timeout");

    const fn new(reason: &'static str, detail: &'static str) -> Self {
        Self {
            reason,
            detail: Cow::Borrowed(detail),
        }
    }

    /// Returns the kind of the error:
    ///
    /// | reason | what happened |
    /// | --- | --- |
    /// | `store-auth` | the login failed, the database does not exist, or the user may not use the table |
    /// | `store-busy` | all connections were in use for the whole timeout; nothing was sent |
    /// | `store-full` | the disk or the memory of the server is full |
    /// | `store-loading` | the server shuts down; of `inspect` also: it starts |
    /// | `store-other` | another error of the server |
    /// | `store-protocol` | the reply does not fit the statement |
    /// | `store-readonly` | the server accepts no writes, such as a standby |
    /// | `store-table` | the table does not exist, or is not that of the migration |
    /// | `store-timeout` | no reply in time; the token is claimed or not |
    /// | `store-unreachable` | no connection, or it broke; the token is claimed or not. Also while the server starts or has no more connections |
    ///
    /// The name may be used as a metric label. See docs/how-to/multi-node.md#when-the-server-fails.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Returns whether the error lasts until the operator changes something.
    pub(crate) fn is_misconfiguration(&self) -> bool {
        matches!(self.reason, "store-auth" | "store-table")
    }

    /// Converts an error of the client.
    pub(crate) fn from_client(error: &SqlError) -> Self {
        match error {
            SqlError::Database(error) => Self::from_code(&error.code().unwrap_or_default()),
            SqlError::Io(error) => Self {
                reason: "store-unreachable",
                detail: match error.kind() {
                    ErrorKind::InvalidData => "the certificate of the server was refused".into(),
                    // The text of the system's resolver names neither user nor password.
                    _ if error.to_string().contains("lookup") => "its name has no address".into(),
                    kind => kind.to_string().into(),
                },
            },
            SqlError::Tls(_) => Self::new(
                "store-unreachable",
                "TLS failed: the server has none, or a certificate cannot be read",
            ),
            SqlError::PoolTimedOut | SqlError::PoolClosed | SqlError::WorkerCrashed => {
                Self::UNCONNECTED
            }
            SqlError::Protocol(_) | SqlError::ColumnDecode { .. } | SqlError::Decode(_) => {
                Self::PROTOCOL
            }
            _ => Self::new("store-other", "the client reported an error"),
        }
    }

    fn from_code(code: &str) -> Self {
        let reason = match code {
            "25006" => "store-readonly",
            "3D000" | "3F000" | "42501" => "store-auth",
            "42601" | "42703" | "42809" | "42P01" | "42P10" => "store-table",
            "53300" => "store-busy",
            "57014" => "store-timeout",
            "57P01" | "57P02" => "store-unreachable",
            "57P03" => "store-loading",
            _ if code.starts_with("28") => "store-auth",
            _ if code.starts_with("53") => "store-full",
            _ if code.starts_with("08") => "store-unreachable",
            _ => "store-other",
        };
        let is_code = code.len() == 5 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        Self {
            reason,
            detail: match is_code {
                true => match in_words(code) {
                    Some(words) => format!("{words}, SQLSTATE {code}").into(),
                    None => format!("SQLSTATE {code}").into(),
                },
                false => "the server sent no error code".into(),
            },
        }
    }
}

/// Returns what a frequent error code means.
fn in_words(code: &str) -> Option<&'static str> {
    Some(match code {
        "25006" => "the server or the session is read-only",
        "28P01" | "28000" => "the user or the password is wrong, or may not log in from here",
        "3D000" => "there is no such database",
        "42501" => "the user may not use the table, its schema or the database",
        "42703" => "the table has other columns",
        "42P01" => "there is no such table for this user",
        "42P10" => "the table has no primary key on `digest`",
        "53300" => "the server has no more connections for this user",
        "57P03" => "the server starts or shuts down",
        _ => return None,
    })
}

impl fmt::Display for PostgresStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL failed ({}): {}", self.reason, self.detail)
    }
}

impl Error for PostgresStoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_and_other_text_is_not() {
        for (code, reason) in [
            ("28P01", "store-auth"),
            ("42501", "store-auth"),
            ("25006", "store-readonly"),
            ("42P01", "store-table"),
            ("42P10", "store-table"),
            ("53100", "store-full"),
            ("53300", "store-busy"),
            ("57P03", "store-loading"),
            ("08006", "store-unreachable"),
            ("XX000", "store-other"),
        ] {
            let error = PostgresStoreError::from_code(code);
            assert_eq!(error.reason(), reason, "{code}");
            assert!(error.to_string().ends_with(code));
        }
        let unknown = PostgresStoreError::from_code("hunter2");
        assert!(!format!("{unknown} {unknown:?}").contains("hunter2"));
    }
}
