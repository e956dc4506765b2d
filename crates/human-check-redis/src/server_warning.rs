use std::fmt;

use crate::slots::SLOTS;

/// A state of a server that breaks a guarantee of the stores. [`RedisClient::inspect`](crate::RedisClient::inspect)
/// returns them.
///
/// Its `Display` text says what follows and what to do.
///
/// See docs/how-to/multi-node.md#the-server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServerWarning {
    /// The server is a node of a cluster, and the URL is one for a single server. A key that belongs
    /// to another node is an error (`store-other`).
    Cluster,
    /// Not all of the 16,384 slots of the cluster have a primary that works, but so many, as this node
    /// sees it. With `cluster-require-full-coverage yes`, which is the default of the server, the
    /// cluster takes no claims at all then.
    ClusterDown(u64),
    /// A full server deletes keys, by this `maxmemory-policy`. A token whose claim was deleted is
    /// accepted again.
    EvictsKeys(String),
    /// The server has used nine tenths of its memory, or more. These are the bytes that it uses and may
    /// use. A full server refuses claims (`store-full`).
    NearlyFull(u64, u64),
    /// The server has no replica now. While it fails, its part of the tokens cannot be claimed.
    NoReplica,
    /// The server is older than Redis 6. This is its version.
    UnsupportedVersion(String),
    /// The server is a replica and accepts no writes.
    Replica,
    /// A primary of a cluster cannot be reached, for this [reason](crate::RedisStoreError::reason). Its
    /// part of the tokens cannot be claimed.
    Unreachable(&'static str),
    /// The server does not report this: `version`, `role`, `maxmemory-policy` or `cluster_state`.
    /// Whether it is right is unknown.
    Unreported(&'static str),
}

impl ServerWarning {
    /// Returns whether claims fail on such a server.
    pub fn prevents_claims(&self) -> bool {
        matches!(
            self,
            Self::Cluster | Self::ClusterDown(_) | Self::Replica | Self::Unreachable(_)
        )
    }
}

impl fmt::Display for ServerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str(
                "the server is a node of a cluster and refuses keys of other nodes; write redis-cluster:// instead of redis:// into the URL",
            ),
            Self::ClusterDown(working) if *working >= u64::from(SLOTS) => f.write_str(
                "the cluster takes no writes now, although all of its slots have a primary; wait a moment, and look at its nodes if that lasts",
            ),
            Self::ClusterDown(working) => write!(
                f,
                "{working} of the {SLOTS} slots of the cluster have a primary that works, so tokens of the other slots cannot be claimed, and with `cluster-require-full-coverage yes` none; wait for a replica to take over, or repair the nodes that failed"
            ),
            Self::NoReplica => f.write_str(
                "the server has no replica, so while it fails its part of the tokens cannot be claimed; give it a replica",
            ),
            Self::Unreachable(reason) => write!(
                f,
                "the server cannot be reached ({reason}), so its part of the tokens cannot be claimed; wait for its replica to take over, and look at the server and the network"
            ),
            Self::EvictsKeys(policy) => write!(
                f,
                "`maxmemory-policy` is `{policy}`, so a full server deletes claims and their tokens are accepted again; set it to `noeviction`"
            ),
            Self::NearlyFull(used, max) => write!(
                f,
                "the server has used {} of {} MiB, and a full server refuses claims; give it more memory",
                used >> 20,
                max >> 20
            ),
            Self::UnsupportedVersion(version) => write!(f, "the server is version {version}; use Redis 6 or later"),
            Self::Replica => f.write_str(
                "the server is a replica and accepts no writes, so every claim fails; use its primary",
            ),
            Self::Unreported(what) => {
                let required = match *what {
                    "version" => ", which must be 6 or later",
                    "role" => ", which must be `master`",
                    "cluster_state" => ", which must be `ok`",
                    "maxmemory-policy" => ", which must be `noeviction`",
                    _ => "",
                };
                write!(
                    f,
                    "the server does not report its {what}{required}; allow its user `+info +config|get +cluster|info`, or verify the setting in the console of the hosting service"
                )
            }
        }
    }
}
