//! Recognises requests that send one token at the same time, such as the two of a double click.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

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
    /// Whether two of them were in flight at one time.
    are_twins: bool,
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
        let mut in_flight = self
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let group = in_flight.entry(key).or_default();
        group.requests += 1;
        group.are_twins |= group.requests > 1;
        Twin { twins: self, key }
    }
}

/// One request with a token in flight.
#[derive(Debug)]
pub(crate) struct Twin<'a> {
    twins: &'a Twins,
    key: u64,
}

impl Twin<'_> {
    /// Returns whether another request sent the token while this one was in flight.
    pub(crate) fn is_one_of_several(&self) -> bool {
        let in_flight = self
            .twins
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        in_flight
            .get(&self.key)
            .is_some_and(|group| group.are_twins)
    }
}

impl Drop for Twin<'_> {
    fn drop(&mut self) {
        let mut in_flight = self
            .twins
            .in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = in_flight.get_mut(&self.key) {
            group.requests -= 1;
            if group.requests == 0 {
                in_flight.remove(&self.key);
            }
        }
    }
}
