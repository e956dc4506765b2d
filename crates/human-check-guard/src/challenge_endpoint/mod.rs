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

/// An HTTP endpoint that issues challenges to pages, without a framework.
///
/// A page needs it if the challenges of its provider come from your own server, as with ALTCHA. See
/// docs/providers/altcha.md#challenge-endpoint. `challenge_route` of the framework's crate makes a
/// route of it.
///
/// The endpoint counts the challenges that each address fetches, and rejects requests beyond a
/// limit. It passes the count on to the issuer, which may issue harder challenges. No cache may
/// keep a response.
///
/// | status | when |
/// | --- | --- |
/// | 200 | the challenge, as JSON |
/// | 400 | the [binding](Self::with_binding) is longer than 256 bytes, for example of a forged cookie |
/// | 429 | the address fetched too many challenges; with `Retry-After` |
/// | 500 | the configuration is wrong |
/// | 503 | the issuer is busy or down; with `Retry-After` |
///
/// The body of a failure is JSON with a member `error`, a sentence that a widget may show.
///
/// All unknown addresses, for example behind a Unix socket, share one count. A store that is full
/// counts an address that it does not hold as above the limit. If the store fails, the endpoint
/// still issues challenges, because a challenge proves nothing by itself. The issuer is then told
/// the highest count that the limit allows.
///
/// ```
/// # use human_check_core::{Challenge, ChallengeIssuer, ChallengeRequest, CheckError, Provider};
/// # static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// # #[derive(Debug)] struct Issuer;
/// # #[human_check_core::adapter::async_trait] impl ChallengeIssuer for Issuer {
/// #     fn provider(&self) -> &Provider { &ACME }
/// #     async fn issue(&self, _: &ChallengeRequest) -> Result<Challenge, CheckError> {
/// #         Ok(Challenge::new("{}"))
/// #     }
/// # }
/// # let issuer = Issuer;
/// use std::time::Duration;
///
/// use human_check_guard::ChallengeEndpoint;
///
/// let endpoint = ChallengeEndpoint::new(issuer)
///     .with_action("signup")
///     .with_rate(10, Duration::from_secs(60))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
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
    /// Creates an endpoint whose challenges have no action and no binding.
    ///
    /// Each address may fetch 30 challenges a minute. They are counted in this process, for up to
    /// 100,000 addresses.
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

    /// Sets the guard of the routes that the page's form leads to. Default: no guard.
    ///
    /// Challenges then have the action of the guard's policy, and the client's address comes from
    /// the guard's source. If the guard is [replaced](Guard::replace), the endpoint follows it.
    /// [`with_action`](Self::with_action) and [`with_client_address`](Self::with_client_address)
    /// override the guard.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        self.with(|inner| inner.guard = Some(guard))
    }

    /// Sets the action of the challenges. Default: the action of the [guard](Self::with_guard), or
    /// no action.
    ///
    /// A route that expects this action refuses solutions of other challenges.
    #[must_use]
    pub fn with_action(self, action: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.action = Some(action.into()))
    }

    /// Sets the function that returns the binding of a challenge, for example the session that a
    /// cookie of the request names. Default: no binding.
    ///
    /// If the function returns `None`, the challenge has no binding, and a route that expects one
    /// refuses its solution. A binding may have up to 256 bytes.
    #[must_use]
    pub fn with_binding(
        self,
        binding: impl Fn(&dyn RequestHead) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.binding = Some(Arc::new(binding)))
    }

    /// Sets where the client's address comes from. Default: the source of the
    /// [guard](Self::with_guard), or [`ClientAddress::socket`].
    #[must_use]
    pub fn with_client_address(self, client: ClientAddress) -> Self {
        self.with(|inner| inner.client = Some(client))
    }

    /// Sets the store that counts challenges, for example one that several machines share. Default:
    /// a [`MemoryAttemptStore`] for 100,000 addresses.
    #[must_use]
    pub fn with_attempt_store(self, attempts: impl AttemptStore) -> Self {
        self.with(|inner| inner.rate.attempts = Arc::new(attempts))
    }

    /// Sets how many challenges an address may fetch within `window`, which begins with the first
    /// of them. Default: 30 within 60 s.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `max_requests` or `window` is zero.
    pub fn with_rate(self, max_requests: u32, window: Duration) -> Result<Self, ConfigError> {
        if max_requests == 0 || window.is_zero() {
            return Err(ConfigError::new(
                "rate",
                format!("is {max_requests} in {window:?}"),
                "set at least one challenge, and a window longer than zero",
            ));
        }
        Ok(self.with(|inner| {
            inner.rate.max_requests = max_requests;
            inner.rate.window = window;
        }))
    }

    /// Returns the provider of the challenges.
    pub fn provider(&self) -> &Provider {
        self.0.issuer.provider()
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Reads the head of a request. [`PendingChallenge::respond`] then makes the response.
    ///
    /// The two steps are separate so that the future does not hold the request.
    pub fn prepare(&self, head: &dyn RequestHead) -> PendingChallenge {
        let guard = self.0.guard.as_ref().map(Guard::snapshot);
        let address = match (&self.0.client, &guard) {
            (None, Some(guard)) => guard.client_ip(head),
            (None, None) => ClientAddress::socket().resolve(head),
            (Some(client), _) => client.resolve(head),
        };
        let guard_action = guard
            .as_ref()
            .and_then(|guard| guard.policy().action.as_ref());
        let mut request = ChallengeRequest::new();
        if let Some(action) = self.0.action.as_ref().or(guard_action) {
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
