#![doc = include_str!("../README.md")]

mod attempts;
mod finding;
mod key;
mod limits;
mod link;
mod server;
mod spent;
mod trouble;

pub use attempts::RedisAttempts;
pub use finding::Finding;
pub use server::RedisServer;
pub use spent::RedisSpent;
pub use trouble::Trouble;

use std::time::Duration;

/// No life or window is longer, so that its end can be told.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);
