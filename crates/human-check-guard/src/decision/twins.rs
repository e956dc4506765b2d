//! Recognises requests that send one token at the same time, such as the two of a double click.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tokens that are being verified in this process.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    in_flight: Mutex<Groups>,
    seed: Seed,
}

/// A number that clients cannot predict.
#[derive(Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

/// The groups of requests, by a keyed digest of the token.
type Groups = HashMap<u64, Group, BuildHasherDefault<DigestHasher>>;

/// A hasher that returns the digest, which is uniformly distributed already.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

/// The requests in flight with one token.
#[derive(Debug, Default)]
struct Group {
    requests: usize,
    /// Whether one of them passed.
    passed: bool,
}

impl Twins {
    /// Records that a request with this token is in flight, until the result is dropped.
    pub(crate) fn enter(&self, token: &str) -> Twin<'_> {
        /// Enough of the end of a token to tell tokens apart. The whole may have 16 KiB.
        const TAIL: usize = 32;

        let tail = token.len().saturating_sub(TAIL);
        // A quick mixture will do: two tokens of one key are at worst taken for one, and then a refused
        // replay is called a double submission.
        let mut key = self.seed.0 ^ token.len() as u64;
        for part in token.as_bytes()[tail..].chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let product = u128::from(key ^ u64::from_le_bytes(word)) * 0x9e37_79b9_7f4a_7c15;
            key = product as u64 ^ (product >> 64) as u64;
        }
        let mut in_flight = self.lock();
        in_flight.entry(key).or_default().requests += 1;
        Twin {
            twins: self,
            key,
            passed: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request with a token in flight.
#[derive(Debug)]
pub(crate) struct Twin<'a> {
    twins: &'a Twins,
    key: u64,
    /// Whether the token of this request passed.
    passed: bool,
}

impl Twin<'_> {
    /// Records that the token of this request passed.
    pub(crate) fn passed(mut self) {
        self.passed = true;
    }

    /// Returns whether another request with the token is in flight, or passed while this one was.
    ///
    /// One that was abandoned does not count: nothing comes of it, so the visitor needs a new token.
    pub(crate) fn has_another(&self) -> bool {
        let in_flight = self.twins.lock();
        let group = in_flight.get(&self.key);
        group.is_some_and(|group| group.passed || group.requests > 1)
    }
}

impl Drop for Twin<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.twins.lock();
        if let Entry::Occupied(mut entry) = in_flight.entry(self.key) {
            let group = entry.get_mut();
            group.passed |= self.passed;
            group.requests -= 1;
            if group.requests == 0 {
                entry.remove();
            }
        }
    }
}
