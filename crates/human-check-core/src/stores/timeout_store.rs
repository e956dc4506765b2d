use std::time::Duration;

use async_trait::async_trait;

use super::{ClaimError, Claimed, ReplayStore, TokenId};

/// A replay store with a timeout: a claim that takes longer fails with the reason `store-timeout`.
///
/// For a check that claims tokens itself, such as ALTCHA's. A [`Timeout`](crate::Timeout) around
/// the whole check would report a store that hangs as an outage of the provider, and a route may
/// fail open on that. [`ReplayGuard`](crate::ReplayGuard) needs no `TimeoutStore`: it has a timeout
/// of its own.
///
/// ```
/// use human_check_core::{MemoryReplayStore, ReplayStore, TimeoutStore};
/// use std::time::Duration;
///
/// let store = TimeoutStore::new(MemoryReplayStore::new(100_000), Duration::from_secs(1));
/// assert_eq!(store.max_ttl(), Duration::from_secs(600));
/// ```
///
/// Dropping the future of a claim, or its timeout, leaves open whether the token is claimed.
#[derive(Clone, Debug)]
pub struct TimeoutStore<S> {
    store: S,
    timeout: Duration,
}

impl<S: ReplayStore> TimeoutStore<S> {
    /// Creates a store that claims in `store`, and fails when a claim takes longer than `timeout`.
    pub fn new(store: S, timeout: Duration) -> Self {
        Self { store, timeout }
    }
}

#[async_trait]
impl<S: ReplayStore> ReplayStore for TimeoutStore<S> {
    fn max_ttl(&self) -> Duration {
        self.store.max_ttl()
    }

    async fn claim(&self, token: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        within(self.timeout, self.store.claim(token, ttl)).await
    }
}

/// Waits for `claim`, and fails with `store-timeout` after `timeout`.
pub(crate) async fn within(
    timeout: Duration,
    claim: impl Future<Output = Result<Claimed, ClaimError>>,
) -> Result<Claimed, ClaimError> {
    let claimed = tokio::time::timeout(timeout, claim).await;
    claimed.unwrap_or_else(|_| Err(ClaimError::new("store-timeout")))
}
