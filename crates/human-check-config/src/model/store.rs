use serde::Deserialize;

use super::SecretRef;

/// A store of tokens or of attempts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreTable {
    /// Where the store keeps its entries: in this process, or on a server that several processes
    /// share.
    pub(crate) kind: StoreKind,
    /// How many entries fit into memory, by default 1000000. For a store of attempts on a server: how
    /// many keys each process creates in a window, by default 100000.
    pub(crate) capacity: Option<usize>,
    /// The secret with the URL, which may hold a password: redis://, redis-cluster:// or
    /// redis-sentinel://, or rediss for TLS; postgres:// for "postgres". Not for "memory". Default:
    /// the variable `HUMAN_CHECK_REDIS_URL` or `HUMAN_CHECK_POSTGRES_URL`.
    pub(crate) url: Option<SecretRef>,
    /// The secret that keys the digests of tokens and addresses, at least 16 characters, the same
    /// on all machines. Not for "memory". Default: the variable `HUMAN_CHECK_DIGEST_SECRET`.
    pub(crate) digest_secret: Option<SecretRef>,
    /// The text that keys on the server begin with. "redis" only.
    pub(crate) prefix: Option<String>,
    /// How many replicas must have a claim before its token passes, by default none.
    /// `[replay_store]` with "redis" only.
    pub(crate) replicas: Option<u32>,
    /// The table with the claims, by default `human_check_claims`. "postgres" only.
    pub(crate) table: Option<String>,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoreKind {
    /// In this process. Other processes do not see its entries.
    Memory,
    /// On a Redis or Valkey server, or a cluster.
    Redis,
    /// On a PostgreSQL server. `[replay_store]` only.
    Postgres,
}
