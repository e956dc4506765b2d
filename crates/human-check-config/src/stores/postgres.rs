//! Sets up the replay store on PostgreSQL.

use human_check_core::ConfigError;
use human_check_postgres::PostgresReplayStore;

use crate::context::Context;
use crate::model::StoreTable;
use crate::source::KeyPath;

use super::keys::{digest_secret, refuse_keys};

/// Returns the store of `[replay_store]`. It connects to no server yet.
pub(super) fn open(
    context: &Context<'_>,
    table: &StoreTable,
) -> Result<PostgresReplayStore, ConfigError> {
    let path = KeyPath::from("replay_store");
    let others = [
        ("capacity", table.capacity.is_some()),
        ("prefix", table.prefix.is_some()),
        ("replicas", table.replicas.is_some()),
    ];
    refuse_keys(context, &path, "a store on PostgreSQL", &others)?;
    let key = path.join("url");
    let url = context.secret(&key, table.url.as_ref(), "HUMAN_CHECK_POSTGRES_URL")?;
    let secret = digest_secret(context, &path, table)?;
    let store = PostgresReplayStore::new(&url, &secret);
    let store = store.map_err(|error| context.placed(&key, error))?;
    match &table.table {
        None => Ok(store),
        Some(name) => store
            .with_table(name)
            .map_err(|error| context.placed(&path.join("table"), error)),
    }
}
