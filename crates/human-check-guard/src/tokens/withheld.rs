//! Tells why a body that has a token is refused as one with a missing field.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::{SubmittedTokens, TokenFields};

/// Logs that the type `T` needs the member `name` of a body, which the guard has taken out because
/// it holds the token, once for each type. Does nothing if `name` holds no token of the body.
///
/// A framework crate calls it when `T` reports `name` as missing. The refusal alone would not say
/// why: the client did send the member.
pub fn report_withheld<T>(fields: &TokenFields, tokens: &SubmittedTokens, name: &str) {
    static LOGGED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    if !fields.find(name).is_some_and(|field| tokens.has(field)) {
        return;
    }
    let of = std::any::type_name::<T>();
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.insert(of) {
        tracing::error!(
            target: "human_check_guard",
            r#type = of,
            member = name,
            "the handler's type needs the member of the token, which the guard takes out of the \
             body; leave the member out of the type, or give it a default value"
        );
    }
}

/// Returns the name that an error of serde reports as missing. Only the beginning counts: what
/// follows in another error may be text of the client.
pub(crate) fn missing_member(error: &str) -> Option<&str> {
    Some(error.strip_prefix("missing field `")?.split_once('`')?.0)
}
