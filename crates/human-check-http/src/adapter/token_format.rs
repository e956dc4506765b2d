use human_check_core::{Provider, Reason, Refusal, Submission};

/// What the tokens of one provider look like. A text of another form is refused without a call.
///
/// Each adapter has one as a constant. It refuses a text that is longer than the provider's tokens,
/// and a text with a character that the tokens do not have. That is more than a saved call: the
/// firewall in front of a provider may reply to such a text with a 5xx, which would look like an
/// outage that a visitor caused.
///
/// ```
/// use human_check_core::{Provider, Reason, Submission};
/// use human_check_http::adapter::TokenFormat;
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// const TOKEN: TokenFormat = TokenFormat::new(2_048).with_url_safe_characters();
///
/// let submission = Submission::new().with_token(&ACME, "03AFcWeA-x_y");
/// assert_eq!(TOKEN.read(&submission, &ACME).unwrap(), "03AFcWeA-x_y");
/// let typed = Submission::new().with_token(&ACME, "' OR 1=1 --");
/// assert_eq!(TOKEN.read(&typed, &ACME).unwrap_err().reason(), Reason::Malformed);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenFormat {
    max_bytes: usize,
    url_safe: bool,
}

impl TokenFormat {
    /// Creates the format of tokens with up to `max_bytes` bytes, of printable ASCII without spaces
    /// and without what firewalls look for: the characters ``"$%&'()*;<>\^`{|}``, `://`, `../` and
    /// `/..`. Neither base64 nor a JSON Web Token has one of them.
    ///
    /// A value above [`MAX_TOKEN_BYTES`](human_check_core::MAX_TOKEN_BYTES) has no further effect.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            url_safe: false,
        }
    }

    /// Permits letters, digits and `-._~` only, for a provider whose tokens have no other
    /// characters. Default: see [`new`](Self::new).
    #[must_use]
    pub const fn with_url_safe_characters(mut self) -> Self {
        self.url_safe = true;
        self
    }

    /// Returns the token for `provider`, if it has this form.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: [`Reason::Malformed`] for another form, and those of
    /// [`Submission::token_for`].
    pub fn read<'s>(
        &self,
        submission: &'s Submission,
        provider: &Provider,
    ) -> Result<&'s str, Refusal> {
        let token = submission.token_for(provider, self.max_bytes)?;
        let bytes = token.as_bytes();
        let fits = match self.url_safe {
            true => !any(bytes, |byte| !is_url_safe(byte)),
            false => {
                let suspicious = any(bytes, is_suspicious);
                let has_path = || {
                    let mut parts = ["://", "../", "/.."].iter();
                    parts.any(|part| token.contains(part))
                };
                let has_slash = memchr::memchr(b'/', bytes).is_some();
                !(suspicious || has_slash && has_path())
            }
        };
        match fits {
            true => Ok(token),
            false => Err(Refusal::new(Reason::Malformed)),
        }
    }
}

/// Returns whether one of the bytes is of a kind.
///
/// It looks at all bytes, in pieces, and the kinds are tested without branches. So the compiler tests
/// many bytes with one vector instruction.
fn any(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    let (pieces, rest) = bytes.as_chunks::<32>();
    let mut found = [0_u8; 32];
    for piece in pieces {
        for (found, byte) in found.iter_mut().zip(piece) {
            *found |= u8::from(is(*byte));
        }
    }
    found != [0; 32] || rest.iter().any(|byte| is(*byte))
}

fn is_url_safe(byte: u8) -> bool {
    let mark = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~');
    mark | is_between(byte, b'0', b'9') | is_between(byte | 0x20, b'a', b'z') & byte.is_ascii()
}

/// Returns whether firewalls look for the character, because it has a meaning in a markup, query or
/// shell language.
fn is_suspicious(byte: u8) -> bool {
    (byte == b'"')
        | is_between(byte, b'$', b'*') // $ % & ' ( ) *
        | is_between(byte, b';', b'<')
        | (byte == b'>')
        | (byte == b'\\')
        | (byte == b'^')
        | (byte == b'`')
        | is_between(byte, b'{', b'}') // { | }
}

fn is_between(byte: u8, first: u8, last: u8) -> bool {
    byte.wrapping_sub(first) <= last - first
}

#[cfg(test)]
mod tests {
    use human_check_core::MAX_TOKEN_BYTES;

    use super::*;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    fn reason(format: TokenFormat, token: &str) -> Option<Reason> {
        let submission = Submission::new().with_token(&ACME, token);
        let read = format.read(&submission, &ACME);
        read.err().map(|refusal| refusal.reason())
    }

    #[test]
    fn text_that_a_firewall_looks_for_is_refused_without_a_call() {
        let format = TokenFormat::new(100);
        for token in [
            "<script>",
            "'--",
            "\"x",
            "%00",
            "$(x)",
            "{}",
            "a&b",
            "a;b",
            "a\\b",
            "`x`",
            "a|b",
            "a/*b*/",
            "../etc/passwd",
            "a/..",
            "http://host/x",
        ] {
            assert_eq!(reason(format, token), Some(Reason::Malformed), "{token}");
        }
        for token in [
            "0.abc-_~",
            "eyJh.eyJi.c2ln",
            "a+b/c==",
            "a//b/",
            "eyJhbGciOiJkaXIi..iv.text.tag",
            "id:secret",
            "pt_0f",
        ] {
            assert_eq!(reason(format, token), None, "{token}");
        }
    }

    #[test]
    fn url_safe_tokens_have_no_other_characters() {
        let format = TokenFormat::new(100).with_url_safe_characters();
        assert_eq!(reason(format, "03AFcWeA-x_y.z~"), None);
        for token in ["a+b", "a/b", "a=", "a:b", "a,b", "a@b", "a!b", "a*b", "#"] {
            assert_eq!(reason(format, token), Some(Reason::Malformed), "{token}");
        }
    }

    #[test]
    fn each_provider_has_a_length_of_its_own_up_to_the_longest_of_all() {
        let long = "a".repeat(MAX_TOKEN_BYTES);
        assert_eq!(reason(TokenFormat::new(MAX_TOKEN_BYTES), &long), None);
        let short = TokenFormat::new(MAX_TOKEN_BYTES - 1);
        assert_eq!(reason(short, &long), Some(Reason::Malformed));
        let unlimited = TokenFormat::new(usize::MAX);
        let longer = "a".repeat(MAX_TOKEN_BYTES + 1);
        assert_eq!(reason(unlimited, &longer), Some(Reason::Malformed));
    }

    #[test]
    fn every_character_is_permitted_or_not_as_the_documentation_says() {
        for byte in 0..=255_u8 {
            let suspicious = br#""$%&'()*;<>\^`{|}"#.contains(&byte);
            assert_eq!(is_suspicious(byte), suspicious, "{byte}");
            let url_safe = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert_eq!(is_url_safe(byte), url_safe, "{byte}");
        }
    }
}
