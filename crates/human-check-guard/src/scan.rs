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
        let (name, escaped) = name(body);
        let end = name.len() + memchr(b'&', &body[name.len()..]).unwrap_or(body.len() - name.len());
        let pair = &body[..end];
        body = body.get(end + 1..).unwrap_or_default();
        if !escaped && !fields.may_be_named(name) {
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

/// The answers in a JSON object. None when it is not one, or not JSON.
pub fn json(fields: &Fields, body: &[u8]) -> Answers {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = tap::lift(fields, PhantomData::<IgnoredAny>, &mut json);
    match found {
        Ok((_, answers)) if json.end().is_ok() => answers,
        _ => Answers::none(),
    }
}
