use redis::{Cmd, Value};

use crate::node::Node;
use crate::slots::SLOTS;
use crate::{RedisClient, RedisStoreError, ServerWarning};

/// What a server says about itself. [`RedisClient::inspect`] returns it.
///
/// A server that forbids the commands, as hosted ones may, does not say everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ServerReport {
    /// Host and port, or the name of the primary at the sentinels.
    pub address: String,
    /// The version, such as `7.2.4`. Valkey states that of the Redis which it is compatible with.
    pub version: Option<String>,
    /// How many bytes of memory it uses.
    pub used_memory: Option<u64>,
    /// How many bytes it may use. `None` also without a limit.
    pub max_memory: Option<u64>,
    /// How many replicas follow it now, without those that still copy the data.
    pub replicas: Option<u32>,
    /// What breaks a guarantee of the stores.
    pub warnings: Vec<ServerWarning>,
}

impl RedisClient {
    /// Returns what each server that takes writes says about itself, with the settings that break a
    /// guarantee of the stores. That is one server, or the primaries of a cluster. Each warning is
    /// also logged as a `WARN` event of the target `human_check`. Call it once at the start.
    ///
    /// It sends `INFO`, `CONFIG GET maxmemory-policy` where `INFO` does not report the policy, and
    /// in a cluster `CLUSTER SLOTS` and `CLUSTER INFO`. A server that forbids these commands, as
    /// hosted ones may, gets a warning and no error.
    ///
    /// ```no_run
    /// use human_check_core::Secret;
    /// use human_check_redis::RedisClient;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = RedisClient::new(&Secret::new("redis://:a-password@redis.internal:6379")?)?;
    /// for server in client.inspect().await? {
    ///     for warning in server.warnings {
    ///         println!("{}: {warning}", server.address);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] when the server cannot be reached, or replies with another error. Of a
    /// cluster, when no node can tell which nodes there are; a primary that cannot be reached is a
    /// warning, [`ServerWarning::Unreachable`].
    pub async fn inspect(&self) -> Result<Vec<ServerReport>, RedisStoreError> {
        let reports = self.report().await?;
        for report in &reports {
            for warning in &report.warnings {
                tracing::warn!(target: "human_check", server = report.address, "{warning}");
            }
        }
        Ok(reports)
    }

    /// Returns what [`inspect`](Self::inspect) returns, and logs nothing.
    ///
    /// # Errors
    ///
    /// As for [`inspect`](Self::inspect).
    pub async fn report(&self) -> Result<Vec<ServerReport>, RedisStoreError> {
        let mut reports = Vec::new();
        for node in self.primaries().await? {
            reports.push(match self.report_of(&node).await {
                Err(error) if self.is_cluster() => ServerReport {
                    address: node.address().to_owned(),
                    warnings: vec![ServerWarning::Unreachable(error.reason())],
                    ..ServerReport::default()
                },
                report => report?,
            });
        }
        Ok(reports)
    }

    async fn report_of(&self, node: &Node) -> Result<ServerReport, RedisStoreError> {
        let info = Fields(self.text(node, &["INFO"]).await?.unwrap_or_default());
        let mut warnings = Vec::new();
        let version = info.get("redis_version");
        match &version {
            None => warnings.push(ServerWarning::Unreported("version")),
            Some(version) => {
                let major = version.split('.').next();
                let major = major.and_then(|major| major.parse().ok());
                if major.is_none_or(|major: u32| major < 6) {
                    warnings.push(ServerWarning::UnsupportedVersion(version.clone()));
                }
            }
        }
        match info.get("role").as_deref() {
            None => warnings.push(ServerWarning::Unreported("role")),
            Some("master") => {}
            Some(_) => warnings.push(ServerWarning::Replica),
        }
        let replicas = info.online_replicas();
        if !self.is_one_server() && replicas == Some(0) {
            warnings.push(ServerWarning::NoReplica);
        }
        match self.is_cluster() {
            true => warnings.extend(self.state_of_cluster(node).await?),
            false if info.get("cluster_enabled").as_deref() == Some("1") => {
                warnings.push(ServerWarning::Cluster);
            }
            false => {}
        }
        let policy = match info.get("maxmemory_policy") {
            Some(policy) => Some(policy),
            None => self.configured_policy(node).await?,
        };
        match policy.as_deref() {
            None => warnings.push(ServerWarning::Unreported("maxmemory-policy")),
            Some("noeviction") => {}
            Some(policy) => warnings.push(ServerWarning::EvictsKeys(policy.to_owned())),
        }
        let used_memory = info.number("used_memory");
        let max_memory = info.number("maxmemory").filter(|max| *max > 0);
        if let Some((used, max)) = used_memory.zip(max_memory)
            && used / 9 >= max / 10
        {
            warnings.push(ServerWarning::NearlyFull(used, max));
        }
        Ok(ServerReport {
            address: node.address().to_owned(),
            version,
            used_memory,
            max_memory,
            replicas,
            warnings,
        })
    }

    /// Returns the warning about the state of the cluster, as a node sees it.
    async fn state_of_cluster(
        &self,
        node: &Node,
    ) -> Result<Option<ServerWarning>, RedisStoreError> {
        let info = Fields(
            self.text(node, &["CLUSTER", "INFO"])
                .await?
                .unwrap_or_default(),
        );
        let (state, working) = (info.get("cluster_state"), info.number("cluster_slots_ok"));
        Ok(match (state.as_deref(), working) {
            (Some("ok"), Some(working)) if working >= u64::from(SLOTS) => None,
            (Some(_), Some(working)) => Some(ServerWarning::ClusterDown(working)),
            _ => Some(ServerWarning::Unreported("cluster_state")),
        })
    }

    /// Returns the `maxmemory-policy` by `CONFIG GET`, or `None` when the server does not report
    /// it.
    async fn configured_policy(&self, node: &Node) -> Result<Option<String>, RedisStoreError> {
        let mut get = Cmd::new();
        get.arg("CONFIG").arg("GET").arg("maxmemory-policy");
        Ok(match self.query(node, &get).await? {
            Some(Value::Array(pair)) => match &pair[..] {
                [_, Value::BulkString(policy)] => Some(printable(&String::from_utf8_lossy(policy))),
                _ => None,
            },
            Some(_) => return Err(self.discard_connections()),
            None => None,
        })
    }

    /// Sends a command whose reply is a text.
    async fn text(&self, node: &Node, words: &[&str]) -> Result<Option<String>, RedisStoreError> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        match self.query(node, &command).await? {
            Some(Value::BulkString(text)) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
            Some(_) => Err(self.discard_connections()),
            None => Ok(None),
        }
    }

    /// Sends a command and returns its reply, or `None` when the server forbids the command or does
    /// not know it.
    async fn query(&self, node: &Node, command: &Cmd) -> Result<Option<Value>, RedisStoreError> {
        match self.run_on(node, command).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_forbidden_or_unknown() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The lines `name:value` of a server.
struct Fields(String);

impl Fields {
    fn get(&self, name: &str) -> Option<String> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(found, _)| *found == name)
            .map(|(_, value)| printable(value))
    }

    /// Returns how many replicas follow, without those that still copy the data. `None` where the
    /// server does not say.
    fn online_replicas(&self) -> Option<u32> {
        self.get("connected_slaves")?;
        let is_online = |line: &&str| line.starts_with("slave") && line.contains("state=online");
        u32::try_from(self.0.lines().filter(is_online).count()).ok()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|text| text.parse().ok())
    }
}

/// Shortens a value of the server for logs, and removes characters that a terminal could interpret.
fn printable(value: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    value.trim().chars().filter(safe).take(40).collect()
}
