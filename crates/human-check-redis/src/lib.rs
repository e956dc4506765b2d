#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod attempt_store;
mod client;
mod cluster;
mod dial;
mod error;
mod key;
mod limits;
mod link;
mod node;
mod replay_store;
mod request;
mod server_report;
mod server_warning;
mod slots;

pub use attempt_store::RedisAttemptStore;
pub use client::RedisClient;
pub use error::RedisStoreError;
pub use replay_store::RedisReplayStore;
pub use server_report::ServerReport;
pub use server_warning::ServerWarning;

use std::time::Duration;

/// The maximum ttl of a claim and the maximum window of attempts: 366 days. The server cannot store
/// every end that a `Duration` allows.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3_600);
