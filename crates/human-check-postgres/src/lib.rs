#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod inspection;
mod replay_store;
mod table;

pub use error::PostgresStoreError;
pub use inspection::{PostgresReport, PostgresWarning};
pub use replay_store::PostgresReplayStore;

/// The SQL that creates the table and its index, for a migration tool. It is the file
/// `migrations/0001_claims.sql` of this crate.
pub const MIGRATION: &str = include_str!("../migrations/0001_claims.sql");
