//! Finds answers in a body that nobody parses, for guards that keep the bytes as they came.

use std::marker::PhantomData;

use memchr::memchr;
use serde::de::IgnoredAny;

use crate::{Answers, Fields, tap};

/// The answers in a urlencoded form.
///
/// Every field's name is looked at, percent-encoded or not; only answers are decoded. That is
/// what makes it a small part of the cost of parsing the whole form.
pub fn form(fields: &Fields, mut body: &[u8]) -> Answers {
    let mut answers = Answers::none();
    while !body.is_empty() {
        let end = memchr(b'&', body).unwrap_or(body.len());
        let pair = &body[..end];
        body = body.get(end + 1..).unwrap_or_default();
        let name = &pair[..memchr(b'=', pair).unwrap_or(pair.len())];
        let plain = memchr::memchr2(b'%', b'+', name).is_none();
        if plain && !std::str::from_utf8(name).is_ok_and(|name| fields.find(name).is_some()) {
            continue;
        }
        for (name, value) in form_urlencoded::parse(pair) {
            if let Some(field) = fields.find(&name) {
                answers.push(field, value);
            }
        }
    }
    answers
}

/// The answers in a JSON object. None when it is not one, or not JSON.
pub fn json(fields: &Fields, body: &[u8]) -> Answers {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = tap::lift(fields, PhantomData::<IgnoredAny>, &mut json);
    match found {
        Ok((_, answers)) if json.end().is_ok() => answers,
        _ => Answers::none(),
    }
}
