//! Stores in this process.

use std::sync::Arc;

use human_check_core::{ConfigError, MemoryReplayStore, ReplayStore};
use human_check_guard::{AttemptStore, MemoryAttemptStore};

use crate::context::Context;
use crate::model::StoreTable;
use crate::source::KeyPath;

/// How many entries fit into memory where nothing else is said.
pub(super) const CAPACITY: usize = 1_000_000;

pub(super) fn replay(
    context: &Context<'_>,
    table: &StoreTable,
) -> Result<Arc<dyn ReplayStore>, ConfigError> {
    let capacity = capacity(context, "replay_store", table)?;
    Ok(Arc::new(MemoryReplayStore::new(capacity)))
}

pub(super) fn attempts(
    context: &Context<'_>,
    table: &StoreTable,
) -> Result<Arc<dyn AttemptStore>, ConfigError> {
    let capacity = capacity(context, "attempt_store", table)?;
    Ok(Arc::new(MemoryAttemptStore::new(capacity)))
}

fn capacity(
    context: &Context<'_>,
    store: &'static str,
    table: &StoreTable,
) -> Result<usize, ConfigError> {
    let path = KeyPath::from(store);
    let of_servers = [
        ("url", table.url.is_some()),
        ("digest_secret", table.digest_secret.is_some()),
        ("prefix", table.prefix.is_some()),
    ];
    if let Some((key, _)) = of_servers.iter().find(|(_, given)| *given) {
        return Err(context.wrong(
            &path.join(*key),
            "means nothing for a store in memory",
            "leave it out, or write kind = \"redis\"",
        ));
    }
    match table.capacity {
        Some(0) => Err(context.wrong(
            &path.join("capacity"),
            "is zero, so no token would ever pass",
            "write how many entries may be kept, such as 1000000",
        )),
        capacity => Ok(capacity.unwrap_or(CAPACITY)),
    }
}
