//! Finds tokens in a body that nobody parses, for guards that keep the bytes as they came.

use std::marker::PhantomData;

use memchr::memchr;
use serde::de::IgnoredAny;

use crate::tokens::with_token;
use crate::tokens::{SubmittedTokens, TokenFields};

/// The tokens in a urlencoded form.
///
/// Every field's name is looked at, percent-encoded or not; only tokens are decoded. That is
/// what makes it a small part of the cost of parsing the whole form.
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

/// The name of the first field as it is written, and whether it is written in an unusual way.
///
/// Names are short, so looking at each byte is quicker than a vector search.
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

/// The tokens in a JSON object. None when it is not one, or not JSON.
pub fn json(fields: &TokenFields, body: &[u8]) -> SubmittedTokens {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = with_token::lift(fields, PhantomData::<IgnoredAny>, &mut json);
    match found {
        Ok((_, tokens)) if json.end().is_ok() => tokens,
        _ => SubmittedTokens::none(),
    }
}
