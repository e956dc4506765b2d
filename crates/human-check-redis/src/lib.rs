#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempts;
mod finding;
mod key;
mod limits;
mod link;
mod server;
mod spent;
mod trouble;

pub use attempts::RedisAttemptStore;
pub use finding::ServerWarning;
pub use server::RedisServer;
pub use spent::RedisReplayStore;
pub use trouble::RedisStoreError;

use std::time::Duration;

/// No ttl or window is longer, so that its end can be told.
const MAX_TTL: Duration = Duration::from_secs(366 * 24 * 3_600);
