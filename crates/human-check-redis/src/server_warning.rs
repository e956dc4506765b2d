use std::fmt;

use redis::{Cmd, Value};

use crate::{RedisServer, RedisStoreError};

/// A setting of a server that breaks a guarantee of the stores. [`RedisServer::inspect`] returns
/// them.
///
/// Its `Display` text says what follows and what to do.
///
/// See docs/how-to/multi-node.md#the-server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServerWarning {
    /// The server is a node of a cluster. A key that belongs to another node is an error
    /// (`store-other`).
    Cluster,
    /// A full server deletes keys, by this `maxmemory-policy`. A token whose claim was deleted is
    /// accepted again.
    EvictsKeys(String),
    /// The server is older than Redis 6. This is its version.
    UnsupportedVersion(String),
    /// The server is a replica and accepts no writes.
    Replica,
    /// The server does not report this: `version`, `role` or `maxmemory-policy`. Whether it is
    /// right is unknown.
    Unreported(&'static str),
}

impl fmt::Display for ServerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str(
                "the server is a node of a cluster and refuses keys of other nodes; use a server outside of a cluster, or a proxy for the cluster",
            ),
            Self::EvictsKeys(policy) => write!(
                f,
                "`maxmemory-policy` is `{policy}`, so a full server deletes claims and their tokens are accepted again; set it to `noeviction`"
            ),
            Self::UnsupportedVersion(version) => write!(f, "the server is version {version}; use Redis 6 or later"),
            Self::Replica => f.write_str(
                "the server is a replica and accepts no writes, so every claim fails; use its primary",
            ),
            Self::Unreported(what) => {
                let required = match *what {
                    "version" => ", which must be 6 or later",
                    "role" => ", which must be `master`",
                    "maxmemory-policy" => ", which must be `noeviction`",
                    _ => "",
                };
                write!(
                    f,
                    "the server does not report its {what}{required}; allow its user `+info +config|get`, or verify the setting in the console of the hosting service"
                )
            }
        }
    }
}

impl RedisServer {
    /// Checks the settings of the server, and returns those that break a guarantee of the stores.
    /// Each is also logged as a `WARN` event of the target `human_check`. Call it once at the
    /// start.
    ///
    /// It sends `INFO`, and `CONFIG GET maxmemory-policy` where `INFO` does not report the policy.
    /// A server that forbids these commands, as hosted ones may, gets a warning and no error.
    ///
    /// ```no_run
    /// use human_check_core::Secret;
    /// use human_check_redis::RedisServer;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = RedisServer::new(&Secret::new("redis://:a-password@redis.internal:6379")?)?;
    /// for warning in server.inspect().await? {
    ///     println!("{warning}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] when the server cannot be reached, or replies with another error.
    pub async fn inspect(&self) -> Result<Vec<ServerWarning>, RedisStoreError> {
        let warnings = self.warnings().await?;
        for warning in &warnings {
            tracing::warn!(target: "human_check", server = self.address(), "{warning}");
        }
        Ok(warnings)
    }

    async fn warnings(&self) -> Result<Vec<ServerWarning>, RedisStoreError> {
        let mut info = Cmd::new();
        info.arg("INFO");
        let info = match self.query(&info).await? {
            Some(Value::BulkString(text)) => String::from_utf8_lossy(&text).into_owned(),
            Some(_) => return Err(self.discard_connections()),
            None => String::new(),
        };
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(found, _)| *found == name)
                .map(|(_, value)| printable(value))
        };
        let mut warnings = Vec::new();
        match field("redis_version") {
            None => warnings.push(ServerWarning::Unreported("version")),
            Some(version) => {
                let major = version
                    .split('.')
                    .next()
                    .and_then(|major| major.parse().ok());
                if major.is_none_or(|major: u32| major < 6) {
                    warnings.push(ServerWarning::UnsupportedVersion(version));
                }
            }
        }
        match field("role").as_deref() {
            None => warnings.push(ServerWarning::Unreported("role")),
            Some("master") => {}
            Some(_) => warnings.push(ServerWarning::Replica),
        }
        if field("cluster_enabled").as_deref() == Some("1") {
            warnings.push(ServerWarning::Cluster);
        }
        let policy = match field("maxmemory_policy") {
            Some(policy) => Some(policy),
            None => self.configured_policy().await?,
        };
        match policy.as_deref() {
            None => warnings.push(ServerWarning::Unreported("maxmemory-policy")),
            Some("noeviction") => {}
            Some(policy) => warnings.push(ServerWarning::EvictsKeys(policy.to_owned())),
        }
        Ok(warnings)
    }

    /// Returns the `maxmemory-policy` by `CONFIG GET`, or `None` when the server does not report
    /// it.
    async fn configured_policy(&self) -> Result<Option<String>, RedisStoreError> {
        let mut get = Cmd::new();
        get.arg("CONFIG").arg("GET").arg("maxmemory-policy");
        Ok(match self.query(&get).await? {
            Some(Value::Array(pair)) => match &pair[..] {
                [_, Value::BulkString(policy)] => Some(printable(&String::from_utf8_lossy(policy))),
                _ => None,
            },
            Some(_) => return Err(self.discard_connections()),
            None => None,
        })
    }

    /// Sends a command and returns its reply, or `None` when the server forbids the command or does
    /// not know it.
    async fn query(&self, command: &Cmd) -> Result<Option<Value>, RedisStoreError> {
        match self.run(command).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_forbidden_or_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Shortens a value of the server for logs, and removes characters that a terminal could interpret.
fn printable(value: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    value.trim().chars().filter(safe).take(40).collect()
}
