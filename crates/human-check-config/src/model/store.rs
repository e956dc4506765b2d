use serde::Deserialize;

use super::SecretRef;

/// Where a store keeps its entries.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreTable {
    /// In this process, or on a server that several share.
    pub(crate) kind: StoreKind,
    /// How many entries fit into memory. Default 1000000.
    pub(crate) capacity: Option<usize>,
    /// The server, as redis:// or rediss:// URL, which may hold a password. Default: the variable
    /// `HUMAN_CHECK_REDIS_URL`.
    pub(crate) url: Option<SecretRef>,
    /// The secret that digests are keyed by, the same on all machines. Default: the variable
    /// `HUMAN_CHECK_DIGEST_SECRET`.
    pub(crate) digest_secret: Option<SecretRef>,
    /// What keys on the server begin with.
    pub(crate) prefix: Option<String>,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoreKind {
    /// In this process. Other processes do not see it.
    Memory,
    /// On a Redis or Valkey server.
    Redis,
}
