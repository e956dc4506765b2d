use std::fmt;

use altcha::{Challenge, ChallengeParameters, HmacAlgorithm};
use hmac::{Hmac, Mac};
use human_check_core::{ConfigError, Secret};
use sha2::Sha256;
use subtle::ConstantTimeEq;

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
    current: Key,
    previous: Option<Key>,
}

/// The two secrets of the protocol.
#[derive(Clone)]
pub(crate) struct Key {
    /// Signs challenges.
    challenges: Secret,
    /// Signs the key that solves a challenge.
    derived_keys: Secret,
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
        let derived_keys = hmac(&secret, b"human-check signatures of derived keys");
        Self::with_key_secret(secret, Secret::new(hex::encode(derived_keys))?)
    }

    /// Creates keys from both secrets of the protocol. Use this where other software issues
    /// challenges with the same two secrets.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when one of them is too weak, as for [`new`](Self::new), or when both are
    /// the same.
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
            current: Key {
                challenges: secret,
                derived_keys: key_secret,
            },
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
    pub(crate) fn current(&self) -> &Key {
        &self.current
    }

    /// Returns the key that signed a challenge, or `None` when none of these keys did.
    pub(crate) fn signer(&self, challenge: &Challenge) -> Option<&Key> {
        let signature = challenge.signature.as_deref()?;
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.find(|key| {
            let signed = key.sign(challenge.parameters.clone(), None);
            let expected = signed.and_then(|signed| signed.signature);
            expected.is_some_and(|expected| constant_time_eq(&expected, signature))
        })
    }
}

impl Key {
    /// Signs parameters, and the key that solves them where it is known. Returns `None` for
    /// parameters that cannot be written as JSON. Parameters that were read as JSON always can.
    pub(crate) fn sign(
        &self,
        mut parameters: ChallengeParameters,
        derived_key: Option<&[u8]>,
    ) -> Option<Challenge> {
        altcha::sign_challenge(
            &HmacAlgorithm::Sha256,
            &mut parameters,
            derived_key,
            self.challenges.expose(),
            Some(self.derived_keys.expose()),
        )
        .ok()
    }

    /// Returns whether `derived_key` is the key that was signed when the challenge was issued.
    pub(crate) fn signed(&self, derived_key: &[u8], signature: &str) -> bool {
        constant_time_eq(
            &hex::encode(hmac(&self.derived_keys, derived_key)),
            signature,
        )
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

fn hmac(secret: &Secret, message: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) {
        Ok(mac) => mac.chain_update(message).finalize().into_bytes().into(),
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}

/// Compares two texts in constant time. The comparison is exact, so that a signature has one
/// accepted spelling.
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
        assert_ne!(one.derived_keys.expose(), GOOD);
        assert_eq!(one.derived_keys.expose(), again.derived_keys.expose());
    }
}
