//! Creates stores in the memory of this process.

use std::sync::Arc;
use std::time::Duration;

use human_check_core::{ConfigError, MemoryReplayStore, ReplayStore};
use human_check_guard::{AttemptStore, MemoryAttemptStore};

use crate::context::Context;
use crate::model::StoreTable;
use crate::source::KeyPath;

use super::keys::refuse_keys;

/// The default of `capacity`: how many entries fit into memory.
pub(super) const CAPACITY: usize = 1_000_000;

/// Creates the store of `[replay_store]`.
pub(super) fn replay(
    context: &Context<'_>,
    table: &StoreTable,
) -> Result<Arc<dyn ReplayStore>, ConfigError> {
    let capacity = capacity(context, "replay_store", table)?;
    Ok(Arc::new(MemoryReplayStore::new(capacity)))
}

/// How many offers that count once fit into memory.
const OFFERS: usize = 100_000;

/// Creates the store of offers that count once. It remembers them for as long as they hold.
pub(super) fn offers() -> Arc<dyn ReplayStore> {
    Arc::new(MemoryReplayStore::new(OFFERS).with_ttl(Duration::from_secs(900)))
}

/// Creates the store of `[attempt_store]`.
pub(super) fn attempts(
    context: &Context<'_>,
    table: &StoreTable,
) -> Result<Arc<dyn AttemptStore>, ConfigError> {
    let capacity = capacity(context, "attempt_store", table)?;
    Ok(Arc::new(MemoryAttemptStore::new(capacity)))
}

/// Returns the capacity of a store in memory, and refuses keys that mean nothing for it.
fn capacity(
    context: &Context<'_>,
    store: &'static str,
    table: &StoreTable,
) -> Result<usize, ConfigError> {
    let path = KeyPath::from(store);
    let server_keys = [
        ("url", table.url.is_some()),
        ("digest_secret", table.digest_secret.is_some()),
        ("prefix", table.prefix.is_some()),
        ("replicas", table.replicas.is_some()),
        ("table", table.table.is_some()),
    ];
    refuse_keys(context, &path, "a store in memory", &server_keys)?;
    match table.capacity {
        Some(0) => Err(context.wrong(
            &path.join("capacity"),
            "is zero, so no token would ever pass",
            "write how many entries may be kept, such as 1000000",
        )),
        capacity => Ok(capacity.unwrap_or(CAPACITY)),
    }
}
