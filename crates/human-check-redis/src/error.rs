use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError, Value};

/// The server did not do what it was asked, or nobody knows whether it did.
///
/// Shows a name of a fixed set, and the server's own error code or the kind of I/O error. The
/// rest of what a server says is left out: servers that do not know `AUTH` repeat the password.
#[derive(Clone, Debug)]
pub struct RedisStoreError {
    reason: &'static str,
    detail: Cow<'static, str>,
}

impl RedisStoreError {
    pub(crate) const BUSY: Self =
        Self::of("store-busy", "as many commands as allowed are under way");
    pub(crate) const PROTOCOL: Self = Self::of("store-protocol", "not a reply to this command");
    pub(crate) const TIMEOUT: Self = Self::of("store-timeout", "no reply in time");
    pub(crate) const UNCONNECTED: Self = Self::of("store-unreachable", "no connection in time");

    const fn of(reason: &'static str, detail: &'static str) -> Self {
        Self {
            reason,
            detail: Cow::Borrowed(detail),
        }
    }

    /// What happened, as a short name of a fixed set: `store-auth`, `store-busy`, `store-full`,
    /// `store-loading`, `store-other`, `store-protocol`, `store-readonly`, `store-timeout` or
    /// `store-unreachable`.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    pub(crate) fn of_client(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::of("store-auth", "the login was refused"),
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
                Self::of_code(error.code().unwrap_or_default())
            }
            _ => Self::of("store-other", "the client refused"),
        }
    }

    pub(crate) fn of_server(error: &ServerError) -> Self {
        Self::of_code(error.code())
    }

    fn of_code(code: &str) -> Self {
        let reason = match code {
            "NOAUTH" | "NOPERM" | "WRONGPASS" => "store-auth",
            "LOADING" => "store-loading",
            "OOM" => "store-full",
            // All three take no writes: a replica, one that cannot save, one without its replicas.
            "READONLY" | "MISCONF" | "NOREPLICAS" => "store-readonly",
            _ => "store-other",
        };
        let shown = code.len() <= 16 && code.bytes().all(|b| b.is_ascii_uppercase());
        Self {
            reason,
            detail: if shown && !code.is_empty() {
                Cow::Owned(code.to_owned())
            } else {
                Cow::Borrowed("an unusual error code")
            },
        }
    }

    /// Whether the connection may still carry the next command.
    pub(crate) fn spares_connection(&self) -> bool {
        matches!(self.reason, "store-auth" | "store-full" | "store-other")
    }

    /// Whether the server understood and does not want to.
    pub(crate) fn is_forbidden_or_unknown(&self) -> bool {
        matches!(&*self.detail, "ERR" | "NOPERM")
    }

    /// Whether another connection may lead to a server that does take writes: a name that moved
    /// to the new primary is looked up again only on connecting.
    pub(crate) fn wants_another_server(&self) -> bool {
        matches!(self.reason, "store-loading" | "store-readonly")
    }
}

/// The kind alone: the text of an I/O error may be anything.
fn io_kind(error: &RedisError) -> String {
    // The client hands out its own pointer to the cause as the cause.
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .map_or_else(
            || "the connection failed".to_owned(),
            |io| io.kind().to_string(),
        )
}

/// What arrived, with an error reply as an error.
pub(crate) fn reply(value: Value) -> Result<Value, RedisStoreError> {
    match value {
        Value::ServerError(error) => Err(RedisStoreError::of_server(&error)),
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
            ("ERR", "store-other"),
        ] {
            let trouble = RedisStoreError::of_code(code);
            assert_eq!(trouble.reason(), reason);
            assert!(trouble.to_string().ends_with(code));
        }
        let odd = RedisStoreError::of_code("hunter2");
        assert!(!format!("{odd} {odd:?}").contains("hunter2"));
    }

    #[test]
    fn a_client_error_shows_only_its_kind() {
        let detail = "unknown command `AUTH`, with args beginning with: `hunter2`".to_owned();
        let error = RedisError::from((ErrorKind::AuthenticationFailed, "no", detail));
        let trouble = RedisStoreError::of_client(&error);
        assert_eq!(trouble.reason(), "store-auth");
        assert!(!format!("{trouble} {trouble:?}").contains("hunter2"));
        let reset = RedisError::from(io::Error::new(io::ErrorKind::ConnectionReset, "hunter2"));
        let trouble = RedisStoreError::of_client(&reset);
        assert_eq!(trouble.reason(), "store-unreachable");
        assert!(trouble.to_string().ends_with("connection reset"));
    }
}
