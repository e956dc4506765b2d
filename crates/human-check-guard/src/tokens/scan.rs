//! Finds tokens in the bytes of a body, for guards that pass the body on unchanged.

use std::marker::PhantomData;

use memchr::memchr;
use serde::de::IgnoredAny;

use crate::tokens::with_token::{self, Shape};
use crate::tokens::{SubmittedTokens, TokenFields};

/// Finds the tokens in a urlencoded form.
///
/// It reads the name of every field, percent-encoded or not, and decodes the values of tokens only.
/// So it takes a small part of the time for parsing the whole form.
///
/// ```
/// use human_check_guard::integration::scan;
/// use human_check_guard::{Guard, RoutePolicy};
///
/// # let check = human_check_testkit::Scripted::human();
/// // `check` accepts tokens in the field `scripted-response`.
/// let guard = Guard::new(check, RoutePolicy::fail_closed("signup"))?;
/// let tokens = scan::form(guard.fields(), b"email=ada%40example.com&scripted-response=t");
/// assert!(!tokens.is_empty());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn form(fields: &TokenFields, mut body: &[u8]) -> SubmittedTokens {
    let mut tokens = SubmittedTokens::none();
    while !body.is_empty() {
        let (name, escaped) = name(body);
        let end = name.len() + memchr(b'&', &body[name.len()..]).unwrap_or(body.len() - name.len());
        let pair = &body[..end];
        body = body.get(end + 1..).unwrap_or_default();
        if !escaped && !fields.may_be_named(name) {
            continue;
        }
        for (name, value) in form_urlencoded::parse(pair) {
            if let Some(field) = fields.find(&name) {
                tokens.push(field, value);
            }
        }
    }
    tokens
}

/// Returns the name of the first field as it is written, and whether it has escapes.
///
/// It visits each byte: names are short, so a vector search would be slower.
fn name(body: &[u8]) -> (&[u8], bool) {
    let mut escaped = false;
    for (at, byte) in body.iter().enumerate() {
        match byte {
            b'=' | b'&' => return (&body[..at], escaped),
            b'%' | b'+' => escaped = true,
            _ => {}
        }
    }
    (body, escaped)
}

/// Finds the tokens in a JSON object. A body that is not one JSON object has no tokens.
pub fn json(fields: &TokenFields, body: &[u8]) -> SubmittedTokens {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = with_token::extract(fields, Shape::Members, PhantomData::<IgnoredAny>, &mut json);
    match found {
        Ok((_, tokens)) if json.end().is_ok() => tokens,
        _ => SubmittedTokens::none(),
    }
}
