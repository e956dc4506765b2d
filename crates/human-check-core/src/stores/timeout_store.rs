use std::time::Duration;

use async_trait::async_trait;

use super::{ClaimError, Claimed, ReplayStore, TokenId};

/// A replay store that is given up after a while, as unavailable.
///
/// For a check that claims by itself, such as ALTCHA's: a [`Timeout`](crate::Timeout) around the whole
/// check would turn a store that hangs into an outage of the provider, and a route may fail open on one.
/// [`ReplayGuard`](crate::ReplayGuard) has a timeout of its own.
///
/// Dropping the future of a claim leaves the token claimed or not.
#[derive(Clone, Debug)]
pub struct TimeoutStore<S> {
    store: S,
    timeout: Duration,
}

impl<S: ReplayStore> TimeoutStore<S> {
    /// Creates a store that gives `store` up after `timeout`.
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

/// Gives `claim` up after `timeout`.
pub(crate) async fn within(
    timeout: Duration,
    claim: impl Future<Output = Result<Claimed, ClaimError>>,
) -> Result<Claimed, ClaimError> {
    let claimed = tokio::time::timeout(timeout, claim).await;
    claimed.unwrap_or_else(|_| Err(ClaimError::new("store-timeout")))
}
