use std::fmt;
use std::sync::Arc;

use human_check_core::{ConfigError, Secret};
use zeroize::Zeroizing;

/// The shortest secret, in bytes.
const MIN_BYTES: usize = 32;

/// The keys that sign offers, clearances and the cookies of experiments.
///
/// The first key signs, and all verify. All machines of a site need the same keys: an offer of one
/// machine then holds on the others, without a store. To change the key, put the new one second on
/// all machines, then first on all machines, and remove the old one a day later.
///
/// Each kind of signed statement has a key of its own, which is derived from the secret.
#[derive(Clone)]
pub struct OfferKeys(Arc<[OfferKey]>);

/// The keys that are derived from one secret.
pub(crate) struct OfferKey {
    /// Names the key in a signed statement.
    pub(crate) id: [u8; 4],
    pub(crate) offers: Zeroizing<[u8; 32]>,
    pub(crate) clearances: Zeroizing<[u8; 32]>,
    pub(crate) arms: Zeroizing<[u8; 32]>,
}

impl OfferKey {
    fn derive(secret: &[u8]) -> Self {
        let derive = |purpose| blake3::derive_key(purpose, secret);
        let [a, b, c, d, ..] = derive("human-check 2026-11 id of an offer key");
        Self {
            id: [a, b, c, d],
            offers: Zeroizing::new(derive("human-check 2026-11 offers")),
            clearances: Zeroizing::new(derive("human-check 2026-11 clearances")),
            arms: Zeroizing::new(derive("human-check 2026-11 arms")),
        }
    }
}

impl OfferKeys {
    /// Creates the keys from secrets of 32 bytes or more, such as 32 random bytes in base64.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is no secret, or one is shorter than 32 bytes or given twice.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, ConfigError> {
        const REMEDY: &str =
            "write 32 random bytes or more, for example the output of `openssl rand -base64 32`";

        let mut keys: Vec<OfferKey> = Vec::new();
        for secret in secrets {
            let bytes = secret.expose().as_bytes();
            if bytes.len() < MIN_BYTES {
                let problem = format!("holds a key of {} bytes", bytes.len());
                return Err(ConfigError::new("offer_keys", problem, REMEDY));
            }
            let key = OfferKey::derive(bytes);
            if keys.iter().any(|known| known.id == key.id) {
                return Err(ConfigError::new(
                    "offer_keys",
                    "holds one key twice",
                    "name each key once",
                ));
            }
            keys.push(key);
        }
        match keys.is_empty() {
            true => Err(ConfigError::new("offer_keys", "is empty", REMEDY)),
            false => Ok(Self(keys.into())),
        }
    }

    /// Creates one random key, which no other process knows and which ends with this process.
    pub fn random() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut *secret);
        Self(Arc::new([OfferKey::derive(&*secret)]))
    }

    /// Returns the key that signs.
    pub(crate) fn signing(&self) -> &OfferKey {
        &self.0[0]
    }

    /// Returns the key with this identifier.
    pub(crate) fn find(&self, id: &[u8]) -> Option<&OfferKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl fmt::Debug for OfferKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfferKeys({} redacted)", self.0.len())
    }
}

/// Fills `bytes` from the random source of the operating system.
///
/// # Panics
///
/// If the operating system has no random source. Nothing can be signed then.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has a random source");
}

/// Returns the first 16 bytes of the keyed digest of `parts`.
pub(crate) fn sign(key: &[u8; 32], message: &[u8]) -> [u8; 16] {
    let digest = blake3::keyed_hash(key, message);
    let (mac, _) = digest
        .as_bytes()
        .split_first_chunk()
        .expect("a digest has 32 bytes");
    *mac
}

/// Returns whether two signatures are equal, in a time that does not depend on where they differ.
pub(crate) fn is_equal(one: &[u8; 16], other: &[u8; 16]) -> bool {
    // The equality of `blake3::Hash` takes constant time.
    let widen = |mac: &[u8; 16]| {
        let mut wide = [0; 32];
        wide[..16].copy_from_slice(mac);
        blake3::Hash::from_bytes(wide)
    };
    widen(one) == widen(other)
}

/// Returns an 8-byte digest of texts, for the names in a signed statement.
pub(crate) fn name_digest(texts: &[&str]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let digest = hasher.finalize();
    let (short, _) = digest
        .as_bytes()
        .split_first_chunk()
        .expect("a digest has 32 bytes");
    *short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn a_key_under_32_bytes_an_empty_list_and_a_key_twice_are_errors() {
        let long = "0123456789abcdef0123456789abcdef";
        let cases: [(&[&str], &str); 3] = [
            (&[], "is empty"),
            (&["0123456789abcdef0123456789abcde"], "31 bytes"),
            (&[long, long], "twice"),
        ];
        for (keys, problem) in cases {
            let error = OfferKeys::new(keys.iter().map(|key| secret(key))).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(!error.to_string().contains("0123"), "{error}");
        }
        assert_eq!(
            format!("{:?}", OfferKeys::new([secret(long)]).unwrap()),
            "OfferKeys(1 redacted)"
        );
    }

    #[test]
    fn keys_of_one_secret_differ_by_purpose() {
        let key = OfferKey::derive(b"0123456789abcdef0123456789abcdef");
        assert_ne!(*key.offers, *key.clearances);
        assert_ne!(key.id, key.offers[..4]);
    }

    #[test]
    fn the_digest_of_names_tells_where_one_ends() {
        assert_ne!(name_digest(&["ab", "c"]), name_digest(&["a", "bc"]));
    }
}
