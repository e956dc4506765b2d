use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{CheckError, Provider};

/// A source of challenges that the server itself issues before a page can show its widget.
///
/// Two providers need it: ALTCHA, whose challenges the server signs, and CaptchaLa, whose server
/// tokens the server requests. A type that can both issue challenges and verify tokens implements
/// this trait and [`HumanCheck`](crate::HumanCheck). An endpoint that serves challenges to pages
/// needs this trait only.
///
/// ```
/// use human_check_core::adapter::async_trait;
/// use human_check_core::{Challenge, ChallengeIssuer, ChallengeRequest, CheckError, Provider};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
///
/// #[derive(Debug)]
/// struct Acme;
///
/// #[async_trait]
/// impl ChallengeIssuer for Acme {
///     fn provider(&self) -> &Provider {
///         &ACME
///     }
///
///     async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
///         let action = request.action().unwrap_or("none");
///         Ok(Challenge::new(format!(r#"{{"action":"{action}"}}"#)))
///     }
/// }
/// ```
///
/// # Contract
///
/// - The challenge is bound to the request. The verdict on a token carries the action and the
///   binding of the request that its challenge was issued for.
/// - Memory and time are bounded, however many requests arrive at the same time.
///
/// # Cancellation
///
/// Dropping the future of [`issue`](Self::issue) stops waiting. A challenge that was issued
/// meanwhile is discarded, which has no further effect.
#[async_trait]
pub trait ChallengeIssuer: Debug + Send + Sync + 'static {
    /// Returns the provider whose tokens the challenges lead to.
    fn provider(&self) -> &Provider;

    /// Issues one challenge.
    ///
    /// # Errors
    ///
    /// [`CheckError`] if no challenge can be issued: too many requests are in flight, the provider
    /// is unavailable or rejects the configuration, or the challenge cannot be bound to what the
    /// request states.
    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError>;
}

/// What a challenge is issued for: the action, the binding, and the visitor.
///
/// The server sets all of it. None of it comes from the content of the visitor's request. `Debug`
/// hides the binding and the address.
///
/// ```
/// use human_check_core::ChallengeRequest;
///
/// let request = ChallengeRequest::new()
///     .with_action("signup")
///     .with_client_ip("203.0.113.7".parse().unwrap());
/// assert_eq!(request.action(), Some("signup"));
/// assert_eq!(request.earlier(), 0);
/// ```
#[derive(Clone, Default)]
pub struct ChallengeRequest {
    action: Option<Cow<'static, str>>,
    binding: Option<String>,
    client_ip: Option<IpAddr>,
    earlier: u32,
}

impl ChallengeRequest {
    /// Creates a request without action, binding and address, for a visitor without earlier
    /// challenges.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the action that the challenge is for, such as `signup`. Default none.
    ///
    /// A route that expects an action refuses a token whose challenge has another action, or none.
    #[must_use]
    pub fn with_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Sets the binding: the session or the account that the challenge is for. Default none.
    ///
    /// A route that expects a binding refuses a token whose challenge has another binding, or none.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// Sets the visitor's address. Default none.
    ///
    /// An IPv4 address in IPv6 form (`::ffff:203.0.113.7`) becomes an IPv4 address.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip.to_canonical());
        self
    }

    /// Sets how many challenges the same visitor fetched lately. Default 0.
    ///
    /// The issuer of a proof of work may demand more work for a higher number.
    #[must_use]
    pub fn with_earlier(mut self, earlier: u32) -> Self {
        self.earlier = earlier;
        self
    }

    /// Returns the action that the challenge is for.
    pub fn action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// Returns the session or account that the challenge is bound to.
    pub fn binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

    /// Returns the visitor's address, if it is known.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Returns how many challenges the same visitor fetched lately.
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

/// A challenge as the page receives it.
///
/// `Debug` hides its text: a challenge may be a credential, such as a server token of CaptchaLa.
///
/// ```
/// use human_check_core::Challenge;
/// use std::time::Duration;
///
/// let challenge = Challenge::new(r#"{"server_token":"sct_example"}"#)
///     .with_ttl(Duration::from_secs(300));
/// assert!(!format!("{challenge:?}").contains("sct_example"));
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Challenge {
    json: String,
    ttl: Option<Duration>,
}

impl Challenge {
    /// Creates a challenge from the JSON text that the page's script reads. It has no ttl.
    pub fn new(json: impl Into<String>) -> Self {
        Self {
            json: json.into(),
            ttl: None,
        }
    }

    /// Sets how long the challenge can be solved.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Returns the JSON text for the page.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns how long the challenge can be solved, if that is known.
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

    // The signature is what `async_trait` would generate. Written by hand, the method returns the
    // inner future instead of boxing it a second time.
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
    fn debug_hides_the_visitor_and_the_challenge() {
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
