use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{CheckError, Provider};

/// Makes what a page needs before it can show a challenge.
///
/// Few providers need it: a proof of work, whose challenges are ours to make, and CaptchaLa, whose
/// server tokens are asked for by the server. Whoever can both issue and check implements both
/// traits; an endpoint for pages needs no more than this one.
///
/// # Contract
///
/// - What is asked for is bound: the verdict on an answer carries the action and the binding of the
///   request that its challenge was issued for.
/// - Issuing is bounded in memory and time, however many ask at once.
///
/// # Cancellation
///
/// Dropping the future of [`issue`](Self::issue) stops waiting. A challenge that nobody got is lost
/// and does no harm.
#[async_trait]
pub trait ChallengeIssuer: Debug + Send + Sync + 'static {
    /// Whose answers the challenges lead to.
    fn provider(&self) -> &Provider;

    /// Makes one challenge.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when none can be had: too many ask at once, the provider is unreachable or
    /// rejects our configuration, or what is asked for cannot be bound.
    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError>;
}

/// What a challenge is wanted for.
///
/// All of it comes from the server, never from the visitor's own words.
#[derive(Clone, Default)]
pub struct ChallengeRequest {
    action: Option<Cow<'static, str>>,
    binding: Option<String>,
    client_ip: Option<IpAddr>,
    earlier: u32,
}

impl ChallengeRequest {
    /// A challenge for nothing in particular, for somebody who asked for none yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the visitor is going to do. A route that expects this action takes no other.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Ties it to a session or an account. A route that expects this binding takes no other.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// Says which address the visitor has.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip.to_canonical());
        self
    }

    /// Says how many the same visitor asked for lately. A proof of work may grow with it.
    #[must_use]
    pub fn with_earlier(mut self, earlier: u32) -> Self {
        self.earlier = earlier;
        self
    }

    /// What the visitor is going to do.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// What it is tied to.
    pub fn binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

    /// The visitor's address, where it is known.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// How many the same visitor asked for lately.
    pub fn earlier(&self) -> u32 {
        self.earlier
    }
}

impl Debug for ChallengeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeRequest")
            .field("action", &self.action)
            .field("binding", &self.binding.as_ref().map(|_| "[redacted]"))
            .field("client_ip", &self.client_ip.map(|_| "[redacted]"))
            .field("earlier", &self.earlier)
            .finish()
    }
}

/// What a page is given. `Debug` hides it, since a provider's may be worth something to a thief.
#[derive(Clone, Eq, PartialEq)]
pub struct Challenge {
    json: String,
    ttl: Option<Duration>,
}

impl Challenge {
    /// A challenge as the JSON text that the page's script reads.
    pub fn new(json: impl Into<String>) -> Self {
        Self {
            json: json.into(),
            ttl: None,
        }
    }

    /// The same with how long it can be answered.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The JSON text for the page.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// How long it can be answered, where that is known.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }
}

impl Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("json", &"[redacted]")
            .field("ttl", &self.ttl)
            .finish()
    }
}

impl<I: ChallengeIssuer + ?Sized> ChallengeIssuer for Arc<I> {
    fn provider(&self) -> &Provider {
        (**self).provider()
    }

    // Written as the attribute would expand it, but handing on the inner future instead of boxing it
    // once more.
    fn issue<'issuer, 'request, 'future>(
        &'issuer self,
        request: &'request ChallengeRequest,
    ) -> Pin<Box<dyn Future<Output = Result<Challenge, CheckError>> + Send + 'future>>
    where
        'issuer: 'future,
        'request: 'future,
        Self: 'future,
    {
        (**self).issue(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_whom_it_is_for_nor_what_is_given_is_shown() {
        let request = ChallengeRequest::new()
            .with_action("login")
            .with_binding("session-7")
            .with_client_ip("203.0.113.7".parse().unwrap());
        let challenge = Challenge::new(r#"{"server_token":"sct_1"}"#);
        let printed = format!("{request:?} {challenge:?}");
        for hidden in ["session-7", "203.0.113.7", "sct_1"] {
            assert!(!printed.contains(hidden), "{printed}");
        }
        assert!(printed.contains("login"), "{printed}");
    }
}
