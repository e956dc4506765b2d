#![doc = include_str!("../README.md")]

mod attempts;
mod failure;
mod finding;
mod server;
mod spent;

pub use attempts::RedisAttempts;
pub use finding::Finding;
pub use server::RedisServer;
pub use spent::RedisSpent;
