use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a command failed, as a short name of a fixed set. What the server or the client says in
/// words may hold an address or a key, so it goes no further.
pub(crate) fn reason(error: &RedisError) -> &'static str {
    if error.is_timeout() {
        return "store-timeout";
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            "store-auth"
        }
        (_, Some("OOM")) => "store-full",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => "store-readonly",
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "store-loading",
        (ErrorKind::Io, _) => "store-unreachable",
        (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => "store-protocol",
        _ if error.is_connection_dropped() => "store-unreachable",
        _ => "store-other",
    }
}
