use std::fmt;

use altcha::{Challenge, ChallengeParameters, HmacAlgorithm};
use hmac::{Hmac, Mac};
use human_check_core::{ConfigError, Secret};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Shorter secrets can be guessed from one challenge, which is a signed message that everybody gets.
const SHORTEST: usize = 32;

/// What challenges are signed with: one secret, and the one before it while it is being replaced.
#[derive(Clone, Debug)]
pub struct Keys {
    current: Key,
    previous: Option<Key>,
}

/// A secret, and the second one that the protocol signs derived keys with (section 2).
#[derive(Clone)]
pub(crate) struct Key {
    challenges: Secret,
    derived_keys: Secret,
}

impl Keys {
    /// Signs with one secret, of which the protocol's second one is derived.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is shorter than 32 characters or repeats too few of them. Draw one, such
    /// as with `openssl rand -base64 32`; a challenge is all that an attacker needs to try guesses on.
    pub fn new(secret: Secret) -> Result<Self, ConfigError> {
        let derived_keys = hmac(&secret, b"human-check signatures of derived keys");
        Self::with_key_secret(secret, Secret::new(hex::encode(derived_keys))?)
    }

    /// Signs derived keys with a secret of your own, where something else than this crate issues
    /// challenges with the same two.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when either is weak, or both are the same.
    pub fn with_key_secret(secret: Secret, key_secret: Secret) -> Result<Self, ConfigError> {
        for secret in [&secret, &key_secret] {
            strong(secret)?;
        }
        if secret.expose() == key_secret.expose() {
            return Err(ConfigError::new(
                "key_secret",
                "is the same as the secret",
                "draw another, or leave it out",
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

    /// Still takes answers to challenges that were signed with `previous`.
    #[must_use]
    pub fn with_previous(mut self, previous: Self) -> Self {
        self.previous = Some(previous.current);
        self
    }

    /// The one that new challenges are signed with.
    pub(crate) fn current(&self) -> &Key {
        &self.current
    }

    /// The one that this challenge was signed with, if it was signed by us at all.
    pub(crate) fn signer(&self, challenge: &Challenge) -> Option<&Key> {
        let signature = challenge.signature.as_deref()?;
        let mut keys = std::iter::once(&self.current).chain(&self.previous);
        keys.find(|key| {
            let ours = key.sign(challenge.parameters.clone(), None);
            ours.is_some_and(|ours| same(&ours.signature.unwrap_or_default(), signature))
        })
    }
}

impl Key {
    /// Signs parameters, and the key that solves them where it is known in advance. `None` for what
    /// cannot be written as JSON, which nothing that was read as JSON is.
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

    /// Whether `derived_key` is the one that was signed when the challenge was made.
    pub(crate) fn signed(&self, derived_key: &[u8], signature: &str) -> bool {
        same(
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
    // A key of any length will do.
    match Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) {
        Ok(mac) => mac.chain_update(message).finalize().into_bytes().into(),
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}

/// In constant time, and letter for letter: a signature has one spelling only (section 4).
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn strong(secret: &Secret) -> Result<(), ConfigError> {
    let text = secret.expose().as_bytes();
    let mut kinds = text.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let problem = if text.len() < SHORTEST {
        format!("has {} characters", text.len())
    } else if kinds.len() < 8 {
        format!("is made of {} different characters only", kinds.len())
    } else {
        return Ok(());
    };
    Err(ConfigError::new(
        "secret",
        problem,
        "draw one of 32 characters or more, for example with `openssl rand -base64 32`",
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
