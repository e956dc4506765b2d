use std::fmt;

use redis::{Cmd, Value};

use crate::{RedisServer, RedisStoreError};

/// Something about a server that breaks what the stores on it promise.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServerWarning {
    /// It is a node of a cluster. A key that belongs to another node is an error.
    Cluster,
    /// When full it throws out keys, by this `maxmemory-policy`: a token that was thrown out
    /// passes once more.
    Evicts(String),
    /// It is older than Redis 6: this version.
    Old(String),
    /// It is a replica and takes no writes.
    Replica,
    /// It does not tell this, so nobody can say whether it is as it should be.
    Untold(&'static str),
}

impl fmt::Display for ServerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str(
                "the server is a node of a cluster and refuses keys of other nodes; use one that is not, or a proxy in front",
            ),
            Self::Evicts(policy) => write!(
                f,
                "`maxmemory-policy` is `{policy}`, so a full server forgets spent tokens; set it to `noeviction`"
            ),
            Self::Old(version) => write!(f, "the server is version {version}; use Redis 6 or later"),
            Self::Replica => f.write_str(
                "the server is a replica and takes no writes, so nobody passes; use its primary",
            ),
            Self::Untold(what) => write!(
                f,
                "the server does not tell its {what}; see to it by other means"
            ),
        }
    }
}

impl RedisServer {
    /// Looks whether the server can keep what the stores promise, and logs as a warning each
    /// thing that it found. For the start of a process.
    ///
    /// Asks `INFO`, and `CONFIG GET maxmemory-policy` where that says nothing of it. Hosted servers
    /// forbid one or both, which is a finding and no error.
    ///
    /// # Errors
    ///
    /// [`RedisStoreError`] when the server cannot be reached or used.
    pub async fn inspect(&self) -> Result<Vec<ServerWarning>, RedisStoreError> {
        let findings = self.find().await?;
        for finding in &findings {
            tracing::warn!(target: "human_check", server = self.address(), "{finding}");
        }
        Ok(findings)
    }

    async fn find(&self) -> Result<Vec<ServerWarning>, RedisStoreError> {
        let mut info = Cmd::new();
        info.arg("INFO");
        let info = match self.told(&info).await? {
            Some(Value::BulkString(text)) => String::from_utf8_lossy(&text).into_owned(),
            Some(_) => return Err(self.mistrust()),
            None => String::new(),
        };
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(found, _)| *found == name)
                .map(|(_, value)| shown(value))
        };
        let mut findings = Vec::new();
        match field("redis_version") {
            None => findings.push(ServerWarning::Untold("version")),
            Some(version) => {
                let major = version
                    .split('.')
                    .next()
                    .and_then(|major| major.parse().ok());
                if major.is_none_or(|major: u32| major < 6) {
                    findings.push(ServerWarning::Old(version));
                }
            }
        }
        match field("role").as_deref() {
            None => findings.push(ServerWarning::Untold("role")),
            Some("master") => {}
            Some(_) => findings.push(ServerWarning::Replica),
        }
        if field("cluster_enabled").as_deref() == Some("1") {
            findings.push(ServerWarning::Cluster);
        }
        let policy = match field("maxmemory_policy") {
            Some(policy) => Some(policy),
            None => self.configured_policy().await?,
        };
        match policy.as_deref() {
            None => findings.push(ServerWarning::Untold("maxmemory-policy")),
            Some("noeviction") => {}
            Some(policy) => findings.push(ServerWarning::Evicts(policy.to_owned())),
        }
        Ok(findings)
    }

    async fn configured_policy(&self) -> Result<Option<String>, RedisStoreError> {
        let mut get = Cmd::new();
        get.arg("CONFIG").arg("GET").arg("maxmemory-policy");
        Ok(match self.told(&get).await? {
            Some(Value::Array(pair)) => match &pair[..] {
                [_, Value::BulkString(policy)] => Some(shown(&String::from_utf8_lossy(policy))),
                _ => None,
            },
            Some(_) => return Err(self.mistrust()),
            None => None,
        })
    }

    /// `None` when the server refuses to tell, which is its right.
    async fn told(&self, question: &Cmd) -> Result<Option<Value>, RedisStoreError> {
        match self.ask(question).await {
            Ok(value) => Ok(Some(value)),
            Err(trouble) if trouble.is_forbidden_or_unknown() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }
}

/// What a server says of itself goes into logs: short, and nothing that a terminal obeys.
fn shown(value: &str) -> String {
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    value.trim().chars().filter(safe).take(40).collect()
}
