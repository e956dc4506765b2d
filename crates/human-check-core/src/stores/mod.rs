//! Replay stores, which record accepted tokens so that each token is accepted once.

mod digest_key;
mod memory_replay_store;
mod replay_store;
#[cfg(feature = "tokio")]
mod timeout_store;

pub use digest_key::DigestKey;
pub use memory_replay_store::MemoryReplayStore;
pub use replay_store::{ClaimError, Claimed, ReplayStore, TokenId, probe_replay_store};
#[cfg(feature = "tokio")]
pub use timeout_store::TimeoutStore;
#[cfg(feature = "tokio")]
pub(crate) use timeout_store::within;
