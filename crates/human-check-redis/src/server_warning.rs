use std::fmt;

/// A state of a server that breaks a guarantee of the stores. [`RedisClient::inspect`](crate::RedisClient::inspect)
/// returns them.
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
    /// The server has used nine tenths of its memory, or more. These are the bytes that it uses and may
    /// use. A full server refuses claims (`store-full`).
    NearlyFull(u64, u64),
    /// The server is older than Redis 6. This is its version.
    UnsupportedVersion(String),
    /// The server is a replica and accepts no writes.
    Replica,
    /// The server does not report this: `version`, `role` or `maxmemory-policy`. Whether it is
    /// right is unknown.
    Unreported(&'static str),
}

impl ServerWarning {
    /// Returns whether the stores cannot work at all on such a server.
    pub fn prevents_claims(&self) -> bool {
        matches!(self, Self::Cluster | Self::Replica)
    }
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
