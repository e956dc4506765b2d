use std::fmt;
use std::sync::Arc;

use altcha::{Challenge, ChallengeParameters};
use hmac::{Hmac, Mac};
use human_check_core::{ConfigError, Secret};
use serde::Serialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::payload::Parameters;

/// The minimum length of a secret. Every visitor gets a signed challenge and can test guesses on
/// it.
const MIN_SECRET_CHARS: usize = 32;

/// The secret that signs challenges, and the previous one while it is being replaced. `Debug` hides
/// both.
///
/// ```
/// use human_check_altcha::Keys;
/// use human_check_core::Secret;
///
/// // In production: secrets from `openssl rand -base64 32`.
/// let previous = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?)?;
/// let keys = Keys::new(Secret::new("zT3wN8kV1rQ6yH4mB9xD2sL7fJ5gC0pE")?)?.with_previous(previous);
/// # let _ = keys;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/altcha.md#keys.
#[derive(Clone, Debug)]
pub struct Keys {
    current: Arc<Key>,
    previous: Option<Arc<Key>>,
}

/// The two secrets of the protocol.
///
/// They are the states of HMAC after the secrets, which are worth as much as the secrets. Clones of the
/// keys share them, so that few copies are in memory. Unlike a [`Secret`] they are not wiped when they
/// are dropped.
pub(crate) struct Key {
    /// Signs challenges.
    challenges: Hmac<Sha256>,
    /// Signs the key that solves a challenge.
    derived_keys: Hmac<Sha256>,
}

impl Keys {
    /// Creates keys from one secret, and derives the protocol's second secret from it.
    ///
    /// Create the secret with `openssl rand -base64 32`. A secret of words is unsafe: an attacker
    /// can test guesses on one challenge, without further requests.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret has fewer than 32 characters, or fewer than 8 different
    /// ones.
    pub fn new(secret: Secret) -> Result<Self, ConfigError> {
        let derived_keys = tag(&hmac(&secret), b"human-check signatures of derived keys");
        Self::with_key_secret(secret, Secret::new(hex::encode(derived_keys))?)
    }

    /// Creates keys from both secrets of the protocol. Use this where other software issues
    /// challenges with the same two secrets.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when one of them is too weak, as for [`new`](Self::new), or when both are
    /// the same.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a secret that is dropped is wiped from memory"
    )]
    pub fn with_key_secret(secret: Secret, key_secret: Secret) -> Result<Self, ConfigError> {
        for secret in [&secret, &key_secret] {
            require_strong(secret)?;
        }
        if secret.expose() == key_secret.expose() {
            return Err(ConfigError::new(
                "key_secret",
                "is the same as the secret",
                "create another one with `openssl rand -base64 32`, or use `Keys::new`",
            ));
        }
        Ok(Self {
            current: Arc::new(Key::new(&secret, &key_secret)),
            previous: None,
        })
    }

    /// Sets the previous keys. Challenges that they signed are still accepted. Default: none.
    ///
    /// Use this while a secret is replaced, until the ttl of challenges has passed. Previous keys
    /// of `previous` itself are dropped.
    #[must_use]
    pub fn with_previous(mut self, previous: Self) -> Self {
        self.previous = Some(previous.current);
        self
    }

    /// Returns the key that signs new challenges.
    pub(crate) fn current(&self) -> &Arc<Key> {
        &self.current
    }

    /// Returns the key that signed parameters, or `None` when none of these keys did.
    pub(crate) fn signer(&self, parameters: &Parameters<'_>, signature: &str) -> Option<&Key> {
        let signed = signed_bytes(parameters)?;
        let mut keys = std::iter::once(&self.current)
            .chain(&self.previous)
            .map(Arc::as_ref);
        keys.find(|key| is_hex_of(&tag(&key.challenges, &signed), signature))
    }
}

impl Key {
    fn new(challenges: &Secret, derived_keys: &Secret) -> Self {
        Self {
            challenges: hmac(challenges),
            derived_keys: hmac(derived_keys),
        }
    }

    /// Signs parameters, and the key that solves them. Returns `None` for parameters that cannot be
    /// written as JSON.
    pub(crate) fn sign(
        &self,
        mut parameters: ChallengeParameters,
        derived_key: &[u8],
    ) -> Option<Challenge> {
        parameters.key_signature = Some(hex::encode(tag(&self.derived_keys, derived_key)));
        let signature = tag(&self.challenges, &signed_bytes(&parameters)?);
        Some(Challenge {
            parameters,
            signature: Some(hex::encode(signature)),
        })
    }

    /// Returns whether `derived_key` is the key that was signed when the challenge was issued.
    pub(crate) fn signed(&self, derived_key: &[u8], signature: &str) -> bool {
        is_hex_of(&tag(&self.derived_keys, derived_key), signature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// Returns the bytes that are signed: the parameters as JSON without spaces, with the members of
/// every object in order. [`ChallengeParameters`] and [`Parameters`] have theirs in order.
fn signed_bytes(parameters: &impl Serialize) -> Option<Vec<u8>> {
    // As long as the parameters of a challenge of this library.
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, parameters).ok()?;
    Some(bytes)
}

fn hmac(secret: &Secret) -> Hmac<Sha256> {
    match Hmac::new_from_slice(secret.expose().as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}

fn tag(key: &Hmac<Sha256>, message: &[u8]) -> [u8; 32] {
    key.clone()
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

/// Returns whether `text` is `tag` in lower-case hex, in constant time. The comparison is exact, so
/// that a signature has one accepted spelling.
fn is_hex_of(tag: &[u8; 32], text: &str) -> bool {
    let mut hex = [0; 64];
    let encoded = hex::encode_to_slice(tag, &mut hex);
    let Ok(text) = <&[u8; 64]>::try_from(text.as_bytes()) else {
        return false;
    };
    // Every byte counts, and the compiler can compare many at a time.
    let differences = hex
        .iter()
        .zip(text)
        .fold(0, |all, (one, other)| all | (one ^ other));
    encoded.is_ok() && differences.ct_eq(&0).into()
}

/// Compares two texts in constant time.
pub(crate) fn constant_time_eq(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Refuses a weak secret.
///
/// # Errors
///
/// [`ConfigError`] when the secret is short or has few different characters. It does not show the
/// secret.
fn require_strong(secret: &Secret) -> Result<(), ConfigError> {
    let text = secret.expose().as_bytes();
    let mut different = text.to_vec();
    different.sort_unstable();
    different.dedup();
    let problem = if text.len() < MIN_SECRET_CHARS {
        format!("has {} characters", text.len())
    } else if different.len() < 8 {
        format!("has only {} different characters", different.len())
    } else {
        return Ok(());
    };
    Err(ConfigError::new(
        "secret",
        problem,
        "create one of 32 characters or more, for example with `openssl rand -base64 32`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_weak_secret_is_refused_and_not_shown() {
        for weak in [
            "short",
            "test-secret",
            "0123456789abcdef0123456789abcde",
            &"ab".repeat(20),
        ] {
            let error = Keys::new(secret(weak)).unwrap_err();
            assert_eq!(error.field(), "secret", "{weak}");
            assert!(!error.to_string().contains(weak), "{error}");
        }
        assert!(Keys::new(secret(GOOD)).is_ok());
        assert!(Keys::with_key_secret(secret(GOOD), secret(GOOD)).is_err());
        assert!(Keys::with_key_secret(secret(GOOD), secret("short")).is_err());
        let shown = format!("{:?}", Keys::new(secret(GOOD)).unwrap());
        assert!(!shown.contains(GOOD), "{shown}");
    }

    #[test]
    fn the_second_secret_differs_from_the_first_and_follows_from_it() {
        let (one, again) = (Keys::new(secret(GOOD)), Keys::new(secret(GOOD)));
        let (one, again) = (one.unwrap().current, again.unwrap().current);
        let tags = |key: &Key| (tag(&key.challenges, b"x"), tag(&key.derived_keys, b"x"));
        assert_ne!(tags(&one).0, tags(&one).1);
        assert_eq!(tags(&one), tags(&again));
    }

    #[test]
    fn challenges_are_signed_as_the_official_library_signs_them() {
        let keys = Keys::new(secret(GOOD)).unwrap();
        let context = b"human-check signatures of derived keys";
        let second = hex::encode(tag(&hmac(&secret(GOOD)), context));
        for data in [
            "null",
            "{}",
            r#"{"site":"www.example.com","action":"signup"}"#,
            r#"{"b":1,"a":2,"b":3}"#,
            r#"{"\u0061":1,"a":"\u00e9\n\/","":null,"é":true,"Z":1,"\uffff":1,"😀":2}"#,
            r#"{"a":1.0,"b":1e3,"c":-0,"d":0.1,"e":1e21,"f":18446744073709551615}"#,
            r#"{"g":123456789012345678901234567890,"h":-9223372036854775808}"#,
            r#"{"b":{"z":1,"a":2,"z":9},"a":[{"y":{"q":1,"b":[]},"x":2},[3,{}]]}"#,
        ] {
            let json = format!(
                r#"{{"algorithm":"a\"\\\u0001\u2028/é","cost":1,"data":{data},"keyLength":32,
                    "expiresAt":-7,"keyPrefix":"00","nonce":"\u0041","salt":"","unknown":[1e999]}}"#
            );
            let mut official: ChallengeParameters = serde_json::from_str(&json).unwrap();
            let simple = official.clone();
            let official = altcha::sign_challenge(
                &altcha::HmacAlgorithm::Sha256,
                &mut official,
                Some(b"a key"),
                GOOD,
                Some(&second),
            );
            let official = serde_json::to_value(official.unwrap()).unwrap();
            let signature = official["signature"].as_str().unwrap();
            let read = official["parameters"].to_string();
            let read: Parameters<'_> = serde_json::from_str(&read).unwrap();
            assert!(keys.signer(&read, signature).is_some(), "{data}");
            // A challenge of this library has only texts as data, which are in order.
            if !data.contains('[') {
                let signed = keys.current.sign(simple, b"a key").unwrap();
                assert_eq!(serde_json::to_value(signed).unwrap(), official, "{data}");
            }
            let key_signature = official["parameters"]["keySignature"].as_str().unwrap();
            assert!(keys.current.signed(b"a key", key_signature));
        }
    }

    #[test]
    fn a_signature_has_one_spelling() {
        let tag = [0xab; 32];
        let text = "ab".repeat(32);
        assert!(is_hex_of(&tag, &text));
        for at in 0..64 {
            let mut other = text.clone();
            other.replace_range(at..=at, "c");
            assert!(!is_hex_of(&tag, &other), "{at}");
        }
        for other in [
            text.to_uppercase(),
            text[1..].to_owned(),
            text.clone() + "a",
            String::new(),
        ] {
            assert!(!is_hex_of(&tag, &other), "{other}");
        }
    }
}
