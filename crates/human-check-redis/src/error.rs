use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError, Value};

/// A command of a store on a Redis server failed. After some errors the command was done or not.
///
/// It shows a [`reason`](Self::reason), and the server's error code or the kind of I/O error. The
/// further text of a server's error is left out, because servers that do not know `AUTH` repeat the
/// password in it.
///
/// Stores return it as the source of their own errors. [`RedisClient::inspect`] returns it
/// directly.
///
/// [`RedisClient::inspect`]: crate::RedisClient::inspect
#[derive(Clone, Debug)]
pub struct RedisStoreError {
    reason: &'static str,
    detail: Cow<'static, str>,
}

impl RedisStoreError {
    pub(crate) const BUSY: Self =
        Self::new("store-busy", "the maximum number of commands is in flight");
    pub(crate) const CLUSTER_DOWN: Self = Self::new(
        "store-cluster-down",
        "no node of the cluster takes writes for the key",
    );
    pub(crate) const NO_PRIMARY: Self = Self::new(
        "store-unreachable",
        "the sentinels name no primary of this name",
    );
    pub(crate) const PROTOCOL: Self =
        Self::new("store-protocol", "the reply does not fit the command");
    pub(crate) const REDIRECTIONS: Self = Self::new(
        "store-other",
        "the nodes of the cluster send the command from one to the other",
    );
    pub(crate) const TIMEOUT: Self =
        Self::new("store-timeout", "no reply within the response timeout");
    pub(crate) const UNCONNECTED: Self = Self::new(
        "store-unreachable",
        "no connection within the connect timeout",
    );
    pub(crate) const UNREPLICATED: Self = Self::new(
        "store-unreplicated",
        "too few replicas have the claim within the response timeout",
    );

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
    /// | `store-auth` | the login failed, or the user may not run the command |
    /// | `store-busy` | the maximum number of commands was in flight; nothing was sent |
    /// | `store-cluster-down` | no node of the cluster takes writes for the key |
    /// | `store-full` | the server is out of memory |
    /// | `store-loading` | the server reads its data after a start |
    /// | `store-other` | another error reply |
    /// | `store-protocol` | the reply does not fit the command |
    /// | `store-readonly` | the server accepts no writes, such as a replica |
    /// | `store-timeout` | no reply in time; the command was done or not |
    /// | `store-unreachable` | no connection, or it broke; the command was done or not |
    /// | `store-unreplicated` | too few replicas have the claim; the server has it |
    ///
    /// The name may be used as a metric label. See docs/how-to/multi-node.md#when-the-server-fails.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Converts an error of the Redis client.
    pub(crate) fn from_client(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                Self::new("store-auth", "the server refused the login")
            }
            ErrorKind::Io => Self {
                reason: if error.is_timeout() {
                    "store-timeout"
                } else {
                    "store-unreachable"
                },
                detail: io_kind(error).into(),
            },
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::PROTOCOL,
            ErrorKind::Extension | ErrorKind::Server(_) => {
                Self::from_code(error.code().unwrap_or_default())
            }
            _ => Self::new("store-other", "the Redis client reported an error"),
        }
    }

    /// Converts an error reply of the server.
    pub(crate) fn from_server(error: &ServerError) -> Self {
        Self::from_code(error.code())
    }

    fn from_code(code: &str) -> Self {
        let reason = match code {
            "NOAUTH" | "NOPERM" | "WRONGPASS" => "store-auth",
            "LOADING" => "store-loading",
            "OOM" => "store-full",
            // The server accepts no writes: a replica, a server that cannot save, a primary without
            // its replicas.
            "READONLY" | "MISCONF" | "NOREPLICAS" => "store-readonly",
            "CLUSTERDOWN" => "store-cluster-down",
            _ => "store-other",
        };
        // Another text may be a part of a message that repeats a password.
        let is_code = code.len() <= 16 && code.bytes().all(|b| b.is_ascii_uppercase());
        Self {
            reason,
            detail: if is_code && !code.is_empty() {
                match in_words(code) {
                    Some(words) => Cow::Owned(format!("{words}, {code}")),
                    None => Cow::Owned(code.to_owned()),
                }
            } else {
                Cow::Borrowed("the error code of the server is not shown")
            },
        }
    }

    /// Says that a sentinel replied with this error, or did not reply.
    pub(crate) fn of_a_sentinel(mut self) -> Self {
        if self.detail != Self::NO_PRIMARY.detail {
            self.detail = format!("a sentinel: {}", self.detail).into();
        }
        self
    }

    /// Returns whether the server refuses the login or the command, which lasts until the operator
    /// changes the password or the permissions.
    pub(crate) fn is_refused(&self) -> bool {
        self.reason == "store-auth"
    }

    /// Returns whether the connection can be used for the next command.
    pub(crate) fn keeps_connection(&self) -> bool {
        matches!(
            self.reason,
            "store-auth" | "store-cluster-down" | "store-full" | "store-other"
        )
    }

    /// Returns whether another node of a cluster may have the key by now.
    pub(crate) fn may_have_moved(&self) -> bool {
        matches!(
            self.reason,
            "store-cluster-down"
                | "store-loading"
                | "store-other"
                | "store-readonly"
                | "store-timeout"
                | "store-unreachable"
        )
    }

    /// Returns whether the server knows no such command or forbids it.
    pub(crate) fn is_forbidden_or_unknown(&self) -> bool {
        self.detail == "ERR" || self.is_forbidden()
    }

    /// Returns whether the login worked, and the user may not run the command or use the key.
    pub fn is_forbidden(&self) -> bool {
        self.detail.ends_with("NOPERM")
    }

    /// Returns whether a new connection may lead to a server that accepts writes. A host name that
    /// follows the primary is looked up only when a connection is opened.
    pub(crate) fn needs_reconnect(&self) -> bool {
        matches!(self.reason, "store-loading" | "store-readonly")
    }
}

/// Returns what a frequent error code means.
fn in_words(code: &str) -> Option<&'static str> {
    Some(match code {
        "CLUSTERDOWN" => "no node takes writes for the key",
        "LOADING" => "the server reads its data",
        "NOAUTH" => "the URL has no password",
        "NOPERM" => "the user may not run the command or use the key",
        "OOM" => "the server is full",
        "READONLY" => "the server is a replica",
        "WRONGPASS" => "the user or the password is wrong",
        _ => return None,
    })
}

/// Returns the kind of an I/O error. Its text is left out, because it may hold anything.
fn io_kind(error: &RedisError) -> String {
    // The client returns its own `Arc` as the source, and the I/O error is inside.
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .map_or_else(
            || "the connection failed".to_owned(),
            |io| io.kind().to_string(),
        )
}

/// Converts an error reply of the server to an error. Other replies, and redirections of a cluster,
/// are returned unchanged.
pub(crate) fn reply(value: Value) -> Result<Value, RedisStoreError> {
    match value {
        Value::ServerError(error) if !matches!(error.code(), "MOVED" | "ASK") => {
            Err(RedisStoreError::from_server(&error))
        }
        value => Ok(value),
    }
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the Redis server failed ({}): {}",
            self.reason, self.detail
        )
    }
}

impl Error for RedisStoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_and_the_text_behind_it_is_not() {
        for (code, reason) in [
            ("OOM", "store-full"),
            ("READONLY", "store-readonly"),
            ("MISCONF", "store-readonly"),
            ("LOADING", "store-loading"),
            ("NOAUTH", "store-auth"),
            ("CLUSTERDOWN", "store-cluster-down"),
            ("ERR", "store-other"),
        ] {
            let error = RedisStoreError::from_code(code);
            assert_eq!(error.reason(), reason);
            assert!(error.to_string().ends_with(code));
        }
        let unknown = RedisStoreError::from_code("hunter2");
        assert!(!format!("{unknown} {unknown:?}").contains("hunter2"));
    }

    #[test]
    fn a_client_error_shows_only_its_kind() {
        let detail = "unknown command `AUTH`, with args beginning with: `hunter2`".to_owned();
        let refused = RedisError::from((ErrorKind::AuthenticationFailed, "no", detail));
        let error = RedisStoreError::from_client(&refused);
        assert_eq!(error.reason(), "store-auth");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let reset = RedisError::from(io::Error::new(io::ErrorKind::ConnectionReset, "hunter2"));
        let error = RedisStoreError::from_client(&reset);
        assert_eq!(error.reason(), "store-unreachable");
        assert!(error.to_string().ends_with("connection reset"));
    }
}
