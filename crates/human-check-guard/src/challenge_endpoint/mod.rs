mod pending_challenge;
mod rate;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::{ChallengeIssuer, ChallengeRequest, ConfigError, Provider};

use crate::{AttemptKey, AttemptStore, ClientAddress, Guard, MemoryAttemptStore, RequestHead};
pub use pending_challenge::PendingChallenge;
use rate::Rate;

/// What an endpoint tokens that hands challenges to pages, minus the framework.
///
/// It counts what each address takes and stops at a limit; the count goes on to the issuer, which may
/// ask for more work. No answer may be kept by a cache.
///
/// | | |
/// | --- | --- |
/// | 200 | the challenge, as JSON |
/// | 400 | what it is to be bound to is longer than 256 bytes, such as a cookie that was tampered with |
/// | 429 | this address took too many; `Retry-After` |
/// | 503 | none could be had now: the issuer is busy or down; `Retry-After` |
/// | 500 | our configuration is wrong |
///
/// Failures are JSON with a member `error`, a sentence that a widget may show.
///
/// An unknown address, such as behind a Unix socket, shares one count with all other unknown ones. A
/// store that is full counts addresses that it does not know as having taken very many. One that fails
/// turns nobody away, since a challenge lets nobody in, and the issuer is told the max_requests there can be.
#[derive(Clone)]
pub struct ChallengeEndpoint(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    issuer: Arc<dyn ChallengeIssuer>,
    guard: Option<Guard>,
    action: Option<Cow<'static, str>>,
    binding: Option<Binding>,
    client: Option<ClientAddress>,
    rate: Rate,
}

type Binding = Arc<dyn Fn(&dyn RequestHead) -> Option<String> + Send + Sync>;

impl ChallengeEndpoint {
    /// ChallengeEndpoint for nothing in particular: 30 a minute for each address, counted in this process for
    /// up to 100,000 addresses.
    pub fn new(issuer: impl ChallengeIssuer) -> Self {
        Self(Arc::new(Inner {
            issuer: Arc::new(issuer),
            guard: None,
            action: None,
            binding: None,
            client: None,
            rate: Rate {
                attempts: Arc::new(MemoryAttemptStore::new(100_000)),
                max_requests: 30,
                window: Duration::from_secs(60),
            },
        }))
    }

    /// For a form that leads to the routes of `guard`: ties challenges to its action, and learns
    /// visitors' addresses as it does. Follows it when it is [replaced](Guard::replace). What is said
    /// here besides comes first.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        self.with(|inner| inner.guard = Some(guard))
    }

    /// Ties them to what the page's form is for. The route that expects this action takes no other.
    #[must_use]
    pub fn with_action(self, action: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.action = Some(action.into()))
    }

    /// Ties each to what `binding` finds in the request that asks for it, such as the session of a
    /// cookie. Where it finds nothing nothing is bound, and a route that expects a binding refuses.
    #[must_use]
    pub fn with_binding(
        self,
        binding: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.binding = Some(Arc::new(binding)))
    }

    /// Learns visitors' addresses from a proxy. Default: the socket's address, and no header.
    #[must_use]
    pub fn with_client_address(self, client: ClientAddress) -> Self {
        self.with(|inner| inner.client = Some(client))
    }

    /// Counts elsewhere, for several machines or by another clock.
    #[must_use]
    pub fn with_attempt_store(self, attempts: impl AttemptStore) -> Self {
        self.with(|inner| inner.rate.attempts = Arc::new(attempts))
    }

    /// Lets each address take `max_requests` within `window`, which begins with its first.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when either is zero.
    pub fn with_rate(self, max_requests: u32, window: Duration) -> Result<Self, ConfigError> {
        if max_requests == 0 || window.is_zero() {
            return Err(ConfigError::new(
                "rate",
                format!("is {max_requests} in {window:?}"),
                "let each address take at least one in more than no time",
            ));
        }
        Ok(self.with(|inner| {
            inner.rate.max_requests = max_requests;
            inner.rate.window = window;
        }))
    }

    /// Whose challenges they are.
    pub fn provider(&self) -> &Provider {
        self.0.issuer.provider()
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Hears a request, and makes the answer apart from it, so that no future holds the request.
    pub fn prepare(&self, head: &dyn RequestHead) -> PendingChallenge {
        let guard = self.0.guard.as_ref().map(Guard::snapshot);
        let address = match (&self.0.client, &guard) {
            (None, Some(guard)) => guard.client_ip(head),
            (None, None) => ClientAddress::socket().resolve(head),
            (Some(client), _) => client.resolve(head),
        };
        let theirs = guard
            .as_ref()
            .and_then(|guard| guard.policy().action.as_ref());
        let mut request = ChallengeRequest::new();
        if let Some(action) = self.0.action.as_ref().or(theirs) {
            request = request.with_action(action.clone());
        }
        if let Some(ip) = address {
            request = request.with_client_ip(ip);
        }
        if let Some(binding) = self.0.binding.as_ref().and_then(|find| find(head)) {
            request = request.with_binding(binding);
        }
        let key = match address {
            Some(ip) => AttemptKey::challenges(ip),
            None => AttemptKey::named("challenges:unknown address"),
        };
        PendingChallenge {
            issuer: Arc::clone(&self.0.issuer),
            rate: self.0.rate.clone(),
            request,
            key,
        }
    }
}

impl fmt::Debug for ChallengeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeEndpoint")
            .field("issuer", &self.0.issuer)
            .field("action", &self.0.action)
            .field("rate", &self.0.rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
