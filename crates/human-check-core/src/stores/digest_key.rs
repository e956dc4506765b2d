use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

#[cfg(feature = "replay-shared")]
use hmac::{Hmac, Mac};
#[cfg(feature = "replay-shared")]
use sha2::Sha256;

#[cfg(feature = "replay-shared")]
use crate::Secret;

/// The key of the digests that a store keeps in place of tokens. `Debug` hides it.
///
/// Without the key, a leaked store does not show which tokens it holds. A digest covers every byte,
/// because tokens of one provider share long beginnings.
///
/// ```
/// use human_check_core::DigestKey;
///
/// let (key, other) = (DigestKey::random(), DigestKey::random());
/// assert_eq!(key.digest(&[b"token"]), key.digest(&[b"token"]));
/// assert_ne!(key.digest(&[b"token"]), other.digest(&[b"token"]));
/// ```
#[derive(Clone)]
pub struct DigestKey(Kind);

#[derive(Clone)]
enum Kind {
    /// Two keyed hashes of 64 bits each, which are fast.
    Random([RandomState; 2]),
    /// HMAC-SHA256, which is the same in every process.
    #[cfg(feature = "replay-shared")]
    Derived(Hmac<Sha256>),
}

impl DigestKey {
    /// Creates a random key, for a store that one process uses.
    ///
    /// Its digests are two `SipHash` values of the standard library under keys that never leave the
    /// process. They are about half of the work of those of a derived key. Without the key
    /// no two tokens of one digest can be found; do not keep digests where others could
    /// learn the key.
    pub fn random() -> Self {
        Self(Kind::Random([RandomState::new(), RandomState::new()]))
    }

    /// Derives a key from `secret`, for a store that several processes share.
    ///
    /// The same secret gives the same key in every process. Its digests are the first 128 bits of
    /// HMAC-SHA256. It needs the feature `replay-shared`.
    ///
    /// ```
    /// use human_check_core::{DigestKey, Secret};
    ///
    /// let secret = Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa")?;
    /// let (one, other) = (DigestKey::from_secret(&secret), DigestKey::from_secret(&secret));
    /// assert_eq!(one.digest(&[b"token"]), other.digest(&[b"token"]));
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    #[cfg(feature = "replay-shared")]
    pub fn from_secret(secret: &Secret) -> Self {
        Self::for_purpose("replay", secret)
    }

    /// Derives a key from `secret` for a purpose. The same secret gives another key for each
    /// purpose. It needs the feature `replay-shared`.
    #[cfg(feature = "replay-shared")]
    pub fn for_purpose(purpose: &str, secret: &Secret) -> Self {
        let mut key = hmac(secret.expose().as_bytes());
        // Another text would change every digest in a shared store.
        key.update(b"human-check 2026-11-27 digests: ");
        key.update(purpose.as_bytes());
        Self(Kind::Derived(hmac(&key.finalize().into_bytes())))
    }

    /// Returns the digest of `parts`, of 128 bits.
    ///
    /// The length of each part is hashed, too, so `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut digest = [0; 16];
        match &self.0 {
            Kind::Random(states) => {
                for (half, state) in digest.chunks_exact_mut(8).zip(states) {
                    let mut hasher = state.build_hasher();
                    for part in parts {
                        hasher.write_usize(part.len());
                        hasher.write(part);
                    }
                    half.copy_from_slice(&hasher.finish().to_le_bytes());
                }
            }
            #[cfg(feature = "replay-shared")]
            Kind::Derived(key) => {
                let mut mac = key.clone();
                for part in parts {
                    mac.update(&(part.len() as u64).to_le_bytes());
                    mac.update(part);
                }
                digest.copy_from_slice(&mac.finalize().into_bytes()[..16]);
            }
        }
        digest
    }
}

#[cfg(feature = "replay-shared")]
fn hmac(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey([redacted])")
    }
}

#[cfg(all(test, feature = "replay-shared"))]
mod tests {
    use super::*;

    #[test]
    fn a_derived_key_is_the_same_in_every_process_and_for_each_purpose_another() {
        let secret = |text| Secret::new(text).unwrap();
        let digest = |key: DigestKey| key.digest(&[b"acme", b"token"]);
        let one = digest(DigestKey::from_secret(&secret("k")));
        // Computed by another implementation of HMAC. Stores that several versions share rely on it.
        let expected = [
            50, 240, 178, 39, 168, 211, 44, 110, 92, 93, 29, 186, 212, 22, 236, 26,
        ];
        assert_eq!(one, expected);
        assert_ne!(one, digest(DigestKey::from_secret(&secret("l"))));
        assert_ne!(
            one,
            digest(DigestKey::for_purpose("attempts", &secret("k")))
        );
        assert_eq!(one, digest(DigestKey::for_purpose("replay", &secret("k"))));
    }
}
