//! The lines that `compare` reads.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use human_check_compare::validate_id;
use serde::Deserialize;

/// Tokens are a few kilobytes, and there is one for each provider.
const LINE_CAP: u64 = 1_048_576;

/// What one visitor handed in for each provider. Never printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenLine {
    pub(crate) id: String,
    pub(crate) answers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) action: Option<String>,
}

impl TokenLine {
    /// Reads one line. What is wrong is said without its text, which may be a token.
    fn from_json(line: &[u8], providers: &[&str]) -> Result<Self, &'static str> {
        let line: Self = serde_json::from_slice(line).map_err(|error| {
            let message = error.to_string();
            if message.starts_with("missing field `id`") {
                "`id` is missing; write one of your own, it is how a second run knows what is done"
            } else if message.starts_with("missing field `answers`") {
                "`answers` is missing; write an object of providers and tokens"
            } else if message.starts_with("unknown field") {
                "holds an unknown member; write id, answers and action"
            } else if error.is_data() {
                "holds a value of the wrong type; write texts, and an object of them in `answers`"
            } else {
                "is no JSON; write one object a line"
            }
        })?;
        if line
            .answers
            .values()
            .any(|token| gives_away(&line.id, token))
        {
            return Err("`id` is a token or part of one; write a number or a name of your own");
        }
        if validate_id(&line.id).is_err() {
            return Err(
                "`id` is empty, too long or holds control characters; write up to 128 bytes of text",
            );
        }
        if line
            .answers
            .keys()
            .any(|name| !providers.contains(&name.as_str()))
        {
            return Err(
                "`answers` names a provider that was not set up; set it up, or leave it out",
            );
        }
        if line.answers.values().all(String::is_empty) {
            return Err("`answers` holds no token; leave the line out");
        }
        Ok(line)
    }
}

/// Whether an id is a token or shares its text. The id is written down, and a token must never be.
fn gives_away(id: &str, token: &str) -> bool {
    // What is shorter says nothing, and would be found in many an id by chance.
    const TELLING: usize = 16;
    id == token
        || (token.len() >= TELLING && id.contains(token))
        || (id.len() >= TELLING && token.contains(id))
}

/// Reads lines one by one, with their numbers and how many bytes were read so far.
pub(crate) struct TokenLines<R> {
    input: R,
    number: u64,
    pub(crate) bytes: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> TokenLines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            bytes: 0,
            buffer: Vec::new(),
        }
    }

    #[allow(clippy::type_complexity, reason = "a number and a result")]
    pub(crate) fn read(
        &mut self,
        providers: &[&str],
    ) -> io::Result<Option<(u64, Result<TokenLine, &'static str>)>> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            self.number += 1;
            let mut whole = true;
            while self.buffer.last() != Some(&b'\n') && self.is_full() {
                // Read on to its end without keeping it.
                whole = false;
                if !self.read_line()? {
                    break;
                }
            }
            if !whole {
                let problem = "is longer than a mebibyte; write one object a line";
                return Ok(Some((self.number, Err(problem))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((
                    self.number,
                    TokenLine::from_json(&self.buffer, providers),
                )));
            }
        }
    }

    fn is_full(&self) -> bool {
        u64::try_from(self.buffer.len()).is_ok_and(|length| length >= LINE_CAP)
    }

    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let mut start = (&mut self.input).take(LINE_CAP);
        let read = start.read_until(b'\n', &mut self.buffer)?;
        self.bytes += u64::try_from(read).unwrap_or(0);
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        for (line, problem) in [
            ("canary", "no JSON"),
            (r#"{"answers":{"a":"canary"}}"#, "`id` is missing"),
            (r#"{"id":"canary"}"#, "`answers` is missing"),
            (r#"{"id":"1","answers":"canary"}"#, "wrong type"),
            (r#"{"id":7,"answers":{"a":"canary"}}"#, "wrong type"),
            (
                r#"{"id":"1","answers":{"a":"x"},"canary":1}"#,
                "unknown member",
            ),
            (r#"{"id":"","answers":{"a":"canary"}}"#, "`id` is empty"),
            (r#"{"id":"canary","answers":{"a":"canary"}}"#, "token"),
            (
                r#"{"id":"1-canary-0123456789","answers":{"a":"canary-0123456789"}}"#,
                "token",
            ),
            (
                r#"{"id":"canary-0123456789","answers":{"a":"canary-0123456789-abc"}}"#,
                "token",
            ),
            (r#"{"id":"1","answers":{"canary":"x"}}"#, "not set up"),
            (r#"{"id":"1","answers":{"a":""}}"#, "no token"),
        ] {
            let error = TokenLine::from_json(line.as_bytes(), &["a"]).err().unwrap();
            assert!(error.contains(problem), "{line}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_line_without_end_is_one_bad_line() {
        let text = format!(
            "{}\n{}",
            "x".repeat(3_000_000),
            r#"{"id":"1","answers":{"a":"t"}}"#
        );
        let mut lines = TokenLines::new(text.as_bytes());
        let (first, bad) = lines.read(&["a"]).unwrap().unwrap();
        let (second, good) = lines.read(&["a"]).unwrap().unwrap();
        assert_eq!(
            (first, bad.is_err(), second, good.is_ok()),
            (1, true, 2, true)
        );
        assert!(lines.read(&["a"]).unwrap().is_none());
    }
}
