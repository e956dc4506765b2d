//! Keys that the kinds of stores share.

use human_check_core::ConfigError;
#[cfg(any(feature = "postgres", feature = "redis"))]
use human_check_core::Secret;

use crate::context::Context;
#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::model::StoreTable;
use crate::source::KeyPath;

/// Reads the secret that keys the digests of a store on a server.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn digest_secret(
    context: &Context<'_>,
    path: &KeyPath,
    table: &StoreTable,
) -> Result<Secret, ConfigError> {
    let key = path.join("digest_secret");
    let reference = table.digest_secret.as_ref();
    let secret = context.secret(&key, reference, "HUMAN_CHECK_DIGEST_SECRET")?;
    match secret.expose().len() < 16 {
        true => Err(context.wrong(
            &key,
            "is shorter than 16 characters, so an attacker who reads the server's entries could guess it",
            "generate a random one, for example with `openssl rand -hex 32`, the same on all machines",
        )),
        false => Ok(secret),
    }
}

/// Refuses the keys that are set and mean nothing for a kind of store.
pub(super) fn refuse_keys(
    context: &Context<'_>,
    path: &KeyPath,
    kind: &str,
    keys: &[(&'static str, bool)],
) -> Result<(), ConfigError> {
    match keys.iter().find(|(_, is_set)| *is_set) {
        None => Ok(()),
        Some((key, _)) => Err(context.wrong(
            &path.join(*key),
            format!("means nothing for {kind}"),
            "leave it out, or write another `kind`",
        )),
    }
}
