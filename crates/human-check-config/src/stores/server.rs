//! Sets up the connection to a Redis or Valkey server.

use human_check_core::{ConfigError, Secret};
use human_check_redis::RedisClient;

use crate::context::Context;
use crate::model::StoreTable;
use crate::source::KeyPath;

/// Returns the server of a store, and the secret that keys its digests. It connects to no server
/// yet.
pub(super) fn open(
    context: &Context<'_>,
    store: &'static str,
    table: &StoreTable,
) -> Result<(RedisClient, Secret), ConfigError> {
    let path = KeyPath::from(store);
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
    let key = path.join("url");
    let url = context.secret(&key, table.url.as_ref(), "HUMAN_CHECK_REDIS_URL")?;
    let server = RedisClient::new(&url).map_err(|error| context.placed(&key, error))?;
    let key = path.join("digest_secret");
    let reference = table.digest_secret.as_ref();
    let secret = context.secret(&key, reference, "HUMAN_CHECK_DIGEST_SECRET")?;
    if secret.expose().len() < 16 {
        return Err(context.wrong(
            &key,
            "is shorter than 16 characters, so an attacker who reads the server's entries could guess it",
            "generate a random one, for example with `openssl rand -hex 32`, the same on all machines",
        ));
    }
    Ok((server, secret))
}
