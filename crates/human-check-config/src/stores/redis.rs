//! Sets up the connections to Redis or Valkey.

use human_check_core::{ConfigError, Secret};
use human_check_redis::RedisClient;

use crate::context::Context;
use crate::model::StoreTable;
use crate::source::KeyPath;

use super::keys::{digest_secret, refuse_keys};

/// Returns the client of a store, and the secret that keys its digests. It connects to no server
/// yet.
pub(super) fn open(
    context: &Context<'_>,
    store: &'static str,
    table: &StoreTable,
) -> Result<(RedisClient, Secret), ConfigError> {
    let path = KeyPath::from(store);
    refuse_keys(
        context,
        &path,
        "a store on Redis",
        &[("table", table.table.is_some())],
    )?;
    // A store of attempts limits its keys itself, so that it leaves room for claims.
    if table.capacity.is_some() && store != "attempt_store" {
        return Err(context.wrong(
            &path.join("capacity"),
            "means nothing for a store on a server",
            "leave it out, and set the server's maxmemory instead",
        ));
    }
    if table.replicas.is_some() && store != "replay_store" {
        return Err(context.wrong(
            &path.join("replicas"),
            "means nothing for a store of attempts, whose counts may be lost",
            "leave it out",
        ));
    }
    if table
        .prefix
        .as_deref()
        .is_some_and(|prefix| prefix.contains(['{', '}']))
    {
        return Err(context.wrong(
            &path.join("prefix"),
            "holds a curly bracket, and all keys would be on one node of a cluster",
            "leave the brackets out",
        ));
    }
    let key = path.join("url");
    let url = context.secret(&key, table.url.as_ref(), "HUMAN_CHECK_REDIS_URL")?;
    let client = RedisClient::new(&url).map_err(|error| context.placed(&key, error))?;
    Ok((client, digest_secret(context, &path, table)?))
}
