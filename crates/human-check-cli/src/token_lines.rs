//! The lines of a file of tokens, which `compare` reads, such as
//! `{"id":"42","tokens":{"turnstile":"TOKEN","hcaptcha":"TOKEN"},"action":"signup"}`.
//!
//! Tokens are secret while they are valid. So errors repeat no text of a line, and an id that
//! reveals a token is an error.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use human_check_compare::validate_id;
use serde::Deserialize;

/// The maximum length of a line in bytes. A token has some kilobytes, and a line has one for each
/// provider.
const MAX_LINE_BYTES: u64 = 1_048_576;

/// The tokens of one visitor, at most one for each provider. They are never printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenLine {
    /// The id of the line, which its record has, too.
    pub(crate) id: String,
    /// The tokens, by the names of the providers.
    pub(crate) tokens: BTreeMap<String, String>,
    /// The action that providers that report actions must have reported.
    #[serde(default)]
    pub(crate) action: Option<String>,
}

impl TokenLine {
    /// Reads one line. An error repeats no text of the line, which may be a token.
    fn from_json(line: &[u8], providers: &[&str]) -> Result<Self, &'static str> {
        let line: Self = serde_json::from_slice(line).map_err(|error| {
            let message = error.to_string();
            if message.starts_with("missing field `id`") {
                "`id` is missing; write a different id in each line, by which a second run skips it"
            } else if message.starts_with("missing field `tokens`") {
                "`tokens` is missing; write an object with a token for each provider"
            } else if message.starts_with("unknown field") {
                "holds an unknown member; write id, tokens and action"
            } else if error.is_data() {
                "holds a value of the wrong type; write texts, and an object of them in `tokens`"
            } else {
                "is not JSON; write one object a line"
            }
        })?;
        if line
            .tokens
            .values()
            .any(|token| reveals_token(&line.id, token))
        {
            return Err("`id` is a token or a part of one; write a number or another name");
        }
        if validate_id(&line.id).is_err() {
            return Err(
                "`id` is empty, too long or holds control characters; write up to 128 bytes of text",
            );
        }
        if line
            .tokens
            .keys()
            .any(|name| !providers.contains(&name.as_str()))
        {
            return Err(
                "`tokens` names a provider that was not set up; set it up, or leave it out",
            );
        }
        if line.tokens.values().all(String::is_empty) {
            return Err("`tokens` holds no token; leave the line out");
        }
        Ok(line)
    }
}

/// Returns whether an id is a token, contains one, or is a part of one. The id is written to the
/// output, which must hold no token.
fn reveals_token(id: &str, token: &str) -> bool {
    // A shorter text may be a part of the other by chance.
    const MIN_PART: usize = 16;
    id == token
        || (token.len() >= MIN_PART && id.contains(token))
        || (id.len() >= MIN_PART && token.contains(id))
}

/// A reader of lines, one by one, each with its number.
pub(crate) struct TokenLines<R> {
    input: R,
    number: u64,
    /// How many bytes were read so far.
    pub(crate) bytes: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> TokenLines<R> {
    /// Creates a reader of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// Reads the next line that is not empty. Returns its number, from 1, and its tokens or what is
    /// wrong with it. `None` at the end of the input.
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
            let mut is_whole = true;
            while self.buffer.last() != Some(&b'\n') && self.is_full() {
                // The rest of a line that is too long is read and not kept.
                is_whole = false;
                if !self.read_line()? {
                    break;
                }
            }
            if !is_whole {
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

    /// Returns whether the buffer holds the maximum of a line.
    fn is_full(&self) -> bool {
        u64::try_from(self.buffer.len()).is_ok_and(|length| length >= MAX_LINE_BYTES)
    }

    /// Reads up to the end of the line or the maximum. Returns `false` at the end of the input.
    fn read_line(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let mut start = (&mut self.input).take(MAX_LINE_BYTES);
        let read = start.read_until(b'\n', &mut self.buffer)?;
        if self.bytes == 0 {
            skip_byte_order_mark(&mut self.buffer);
        }
        self.bytes += u64::try_from(read).unwrap_or(0);
        Ok(read > 0)
    }
}

/// Removes the mark that some editors and tools write at the beginning of a UTF-8 file.
pub(crate) fn skip_byte_order_mark(first_line: &mut Vec<u8>) {
    if first_line.starts_with(b"\xef\xbb\xbf") {
        first_line.drain(..3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        for (line, problem) in [
            ("canary", "not JSON"),
            (r#"{"tokens":{"a":"canary"}}"#, "`id` is missing"),
            (r#"{"id":"canary"}"#, "`tokens` is missing"),
            (r#"{"id":"1","tokens":"canary"}"#, "wrong type"),
            (r#"{"id":7,"tokens":{"a":"canary"}}"#, "wrong type"),
            (
                r#"{"id":"1","tokens":{"a":"x"},"canary":1}"#,
                "unknown member",
            ),
            (r#"{"id":"","tokens":{"a":"canary"}}"#, "`id` is empty"),
            (r#"{"id":"canary","tokens":{"a":"canary"}}"#, "token"),
            (
                r#"{"id":"1-canary-0123456789","tokens":{"a":"canary-0123456789"}}"#,
                "token",
            ),
            (
                r#"{"id":"canary-0123456789","tokens":{"a":"canary-0123456789-abc"}}"#,
                "token",
            ),
            (r#"{"id":"1","tokens":{"canary":"x"}}"#, "not set up"),
            (r#"{"id":"1","tokens":{"a":""}}"#, "no token"),
        ] {
            let error = TokenLine::from_json(line.as_bytes(), &["a"]).err().unwrap();
            assert!(error.contains(problem), "{line}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_hides_no_line() {
        let text = "\u{feff}{\"id\":\"1\",\"tokens\":{\"a\":\"t\"}}\n";
        let mut lines = TokenLines::new(text.as_bytes());
        assert!(lines.read(&["a"]).unwrap().unwrap().1.is_ok());
        assert!(lines.read(&["a"]).unwrap().is_none());
    }

    #[test]
    fn a_line_without_end_is_one_bad_line() {
        let text = format!(
            "{}\n{}",
            "x".repeat(3_000_000),
            r#"{"id":"1","tokens":{"a":"t"}}"#
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
