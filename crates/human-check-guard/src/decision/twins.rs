//! Recognises requests that send one token at the same time, such as the two of a double click.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tokens that are being verified in this process.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    in_flight: Mutex<HashMap<u64, Group>>,
    digest: RandomState,
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
        const TAIL: usize = 64;

        let tail = token.len().saturating_sub(TAIL);
        let key = self
            .digest
            .hash_one((token.len(), &token.as_bytes()[tail..]));
        let mut in_flight = self.lock();
        in_flight.entry(key).or_default().requests += 1;
        Twin { twins: self, key }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Group>> {
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
}

impl Twin<'_> {
    /// Records that the token of this request passed.
    pub(crate) fn passed(&self) {
        if let Some(group) = self.twins.lock().get_mut(&self.key) {
            group.passed = true;
        }
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
        if let Some(group) = in_flight.get_mut(&self.key) {
            group.requests -= 1;
            if group.requests == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}
