use redis::{Cmd, Value};

use crate::{RedisClient, RedisStoreError, ServerWarning};

/// What a server says about itself. [`RedisClient::inspect`] returns it.
///
/// A server that forbids the commands, as hosted ones may, does not say everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServerReport {
    /// The version, such as `7.2.4`. Valkey states that of the Redis which it is compatible with.
    pub version: Option<String>,
    /// How many bytes of memory it uses.
    pub used_memory: Option<u64>,
    /// How many bytes it may use. `None` also without a limit.
    pub max_memory: Option<u64>,
    /// What breaks a guarantee of the stores.
    pub warnings: Vec<ServerWarning>,
}

impl RedisClient {
    /// Returns what the server says about itself, with the settings that break a guarantee of the
    /// stores. Each of these is also logged as a `WARN` event of the target `human_check`. Call it once
    /// at the start.
    ///
    /// It sends `INFO`, and `CONFIG GET maxmemory-policy` where `INFO` does not report the policy.
    /// A server that forbids these commands, as hosted ones may, gets a warning and no error.
    ///
    /// ```no_run
    /// use human_check_core::Secret;
    /// use human_check_redis::RedisClient;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = RedisClient::new(&Secret::new("redis://:a-password@redis.internal:6379")?)?;
    /// for warning in server.inspect().await?.warnings {
    ///     println!("{warning}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] when the server cannot be reached, or replies with another error.
    pub async fn inspect(&self) -> Result<ServerReport, RedisStoreError> {
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
    pub async fn report(&self) -> Result<ServerReport, RedisStoreError> {
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
        let version = field("redis_version");
        match &version {
            None => warnings.push(ServerWarning::Unreported("version")),
            Some(version) => {
                let major = version
                    .split('.')
                    .next()
                    .and_then(|major| major.parse().ok());
                if major.is_none_or(|major: u32| major < 6) {
                    warnings.push(ServerWarning::UnsupportedVersion(version.clone()));
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
        let bytes = |name: &str| field(name).and_then(|text| text.parse().ok());
        let used_memory = bytes("used_memory");
        let max_memory = bytes("maxmemory").filter(|max: &u64| *max > 0);
        if let Some((used, max)) = used_memory.zip(max_memory)
            && used / 9 >= max / 10
        {
            warnings.push(ServerWarning::NearlyFull(used, max));
        }
        Ok(ServerReport {
            version,
            used_memory,
            max_memory,
            warnings,
        })
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
