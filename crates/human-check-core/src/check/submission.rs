use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::{FactKind, Facts, Provider, Reason, Refusal};

/// The maximum length of a token, in bytes. It is the longest that any provider documents; most
/// adapters have a lower limit.
///
/// A longer token is refused as [`Reason::Malformed`] without a call of the provider.
pub const MAX_TOKEN_BYTES: usize = 16_384;

/// The text of a longer value is not kept. The submission only records that the value arrived.
const MAX_KEPT_BYTES: usize = 65_536;

/// The tokens of one request, what is known of the visitor, and what the route expects.
///
/// Tokens are kept by provider: a token of Turnstile means nothing to hCaptcha, and the tokens that
/// arrived decide which provider is called. Only the tokens come from the visitor. The server sets
/// the address, the user agent and the expectations. `Debug` shows for which providers tokens are
/// present, and redacts their text.
///
/// ```
/// use human_check_core::{Provider, Submission};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let submission = Submission::new()
///     .with_token(&ACME, "token-from-the-form")
///     .with_client_ip("203.0.113.7".parse().unwrap())
///     .with_expected_action("signup");
/// assert_eq!(submission.token_for(&ACME, 8192).unwrap(), "token-from-the-form");
/// ```
#[derive(Clone, Default)]
pub struct Submission {
    parts: Vec<TokenPart>,
    client_ip: Option<IpAddr>,
    user_agent: Option<String>,
    action: Option<Cow<'static, str>>,
    binding: Option<String>,
    route: Option<Arc<str>>,
    record_id: Option<Arc<str>>,
}

#[derive(Clone)]
struct TokenPart {
    provider: Provider,
    name: Cow<'static, str>,
    /// `None` if it was longer than [`MAX_KEPT_BYTES`].
    text: Option<String>,
    /// Whether the text is printable, and not longer than [`MAX_TOKEN_BYTES`]. Every byte is looked
    /// at once, although several parts of a decision ask for the token.
    is_usable: bool,
}

/// The name of the part of a provider whose token is one value.
const TOKEN: &str = "token";

impl Submission {
    /// Creates an empty submission: no token, no address, no expectation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the token that arrived for `provider`.
    ///
    /// Pass the token as it arrived. A token that was trimmed or decoded is another token. The same
    /// token twice counts as one. Two different tokens for one provider contradict each other and
    /// are refused as [`Reason::Malformed`].
    #[must_use]
    pub fn with_token(self, provider: &Provider, token: impl Into<String>) -> Self {
        self.with_token_part(provider, TOKEN, token)
    }

    /// Adds one of several named values, for a provider whose token consists of several form
    /// fields.
    ///
    /// ```
    /// use human_check_core::{Provider, Submission};
    ///
    /// static ACME: Provider = Provider::new("acme", &["lot_number", "pass_token"]);
    /// let submission = Submission::new()
    ///     .with_token_part(&ACME, "lot_number", "42")
    ///     .with_token_part(&ACME, "pass_token", "abc");
    /// assert_eq!(submission.token_part(&ACME, "pass_token", 100).unwrap(), "abc");
    /// ```
    #[must_use]
    pub fn with_token_part(
        mut self,
        provider: &Provider,
        name: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        let text = text.into();
        self.parts.push(TokenPart {
            is_usable: text.len() <= MAX_TOKEN_BYTES && is_printable(&text),
            provider: provider.clone(),
            name: name.into(),
            text: (text.len() <= MAX_KEPT_BYTES).then_some(text),
        });
        self
    }

    /// Sets the visitor's address. Default none.
    ///
    /// Leave it out unless it is surely the visitor's: providers refuse honest visitors for the
    /// address of a proxy. An IPv4 address in IPv6 form (`::ffff:203.0.113.7`) becomes an IPv4
    /// address.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        // A dual-stack socket reports `::ffff:203.0.113.7`, which no provider expects.
        self.client_ip = Some(ip.to_canonical());
        self
    }

    /// Sets the visitor's user agent. Default none. It is cut at 1,024 bytes.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        let mut text = user_agent.into();
        let mut end = text.len().min(1_024);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.user_agent = Some(text);
        self
    }

    /// Sets the action that the challenge must have been solved for. Default none.
    ///
    /// Every check enforces it. A human verdict without an action is refused.
    #[must_use]
    pub fn with_expected_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Sets the binding that the challenge must carry, such as a session id. Default none.
    ///
    /// The binding is the value that the page or the server gave the challenge (`cdata` or `uid` in
    /// the terms of some providers). Every check enforces it. A human verdict without a binding is
    /// refused.
    #[must_use]
    pub fn with_expected_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// Sets the label of the route, for the records of a [`Shadow`](crate::Shadow). Default none. A
    /// guard sets it.
    #[must_use]
    pub fn with_route(mut self, route: impl Into<Arc<str>>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// Sets an id under which a [`Shadow`](crate::Shadow) records its comparison, so that the
    /// application can join it with what it knows. Default none.
    ///
    /// It must not be a token or an address: records keep it.
    #[must_use]
    pub fn with_record_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.record_id = Some(id.into());
        self
    }

    /// Returns the token for `provider`, if it is 1 to `max_bytes` bytes of printable ASCII without
    /// spaces, and not longer than [`MAX_TOKEN_BYTES`].
    ///
    /// An adapter calls it first, and returns the refusal as its verdict. It allocates nothing.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: [`Reason::Missing`] if no token arrived or it is empty, [`Reason::Malformed`]
    /// if it is too long or has other characters, or if several different tokens arrived.
    pub fn token_for(&self, provider: &Provider, max_bytes: usize) -> Result<&str, Refusal> {
        self.token_part(provider, TOKEN, max_bytes)
    }

    /// Returns the named value for `provider`, which [`with_token_part`](Self::with_token_part)
    /// added.
    ///
    /// # Errors
    ///
    /// Those of [`token_for`](Self::token_for).
    pub fn token_part(
        &self,
        provider: &Provider,
        name: &str,
        max_bytes: usize,
    ) -> Result<&str, Refusal> {
        let mut texts = self
            .parts
            .iter()
            .filter(|part| part.provider == *provider && part.name == name)
            .map(|part| (part.text.as_deref(), part.is_usable));
        let Some((first, is_usable)) = texts.next() else {
            return Err(Refusal::new(Reason::Missing));
        };
        if texts.any(|(other, _)| other != first) {
            return Err(Refusal::new(Reason::Malformed));
        }
        match first {
            Some("") => Err(Refusal::new(Reason::Missing)),
            Some(text) if text.len() <= max_bytes && is_usable => Ok(text),
            _ => Err(Refusal::new(Reason::Malformed)),
        }
    }

    /// Returns whether a value arrived for `provider`, valid or not. An empty value counts.
    pub fn has_token_for(&self, provider: &Provider) -> bool {
        self.parts.iter().any(|part| part.provider == *provider)
    }

    /// Returns whether a value that is not empty arrived for one of `providers`.
    pub fn has_token_for_any(&self, providers: &[Provider]) -> bool {
        self.parts
            .iter()
            .any(|part| part.text.as_deref() != Some("") && providers.contains(&part.provider))
    }

    /// Returns a copy that holds the tokens for `providers` only.
    ///
    /// For combinators: a provider must not receive a token of another provider.
    #[must_use]
    pub fn retain_providers(&self, providers: &[Provider]) -> Self {
        let mut own = self.clone();
        own.parts.retain(|part| providers.contains(&part.provider));
        own
    }

    /// Removes the expectations that a check with these `capabilities` can never meet.
    #[cfg(feature = "tokio")]
    pub(crate) fn without_unmeetable_expectations(
        mut self,
        capabilities: crate::Capabilities,
    ) -> Self {
        use crate::Support::Never;
        self.action
            .take_if(|_| capabilities.of(FactKind::Action) == Never);
        self.binding
            .take_if(|_| capabilities.of(FactKind::Binding) == Never);
        self
    }

    /// Checks that a check which accepts `providers` would not refuse this submission without a
    /// call.
    ///
    /// For combinators that return an error in place of a check, such as an open circuit breaker: a
    /// missing or malformed token is refused during an outage, too.
    ///
    /// # Errors
    ///
    /// The [`Refusal`]: [`Reason::Malformed`] if a value for one of them cannot be a token,
    /// [`Reason::Missing`] if no value arrived for any of them.
    pub fn precheck(&self, providers: &[Provider]) -> Result<(), Refusal> {
        let mut outcome = Err(Refusal::new(Reason::Missing));
        for part in self.parts.iter() {
            if !providers.contains(&part.provider) {
                continue;
            }
            match self.token_part(&part.provider, &part.name, MAX_TOKEN_BYTES) {
                Ok(_) => outcome = Ok(()),
                Err(refusal) if refusal.reason() == Reason::Missing => {}
                Err(refusal) => return Err(refusal),
            }
        }
        outcome
    }

    /// Returns the first of `providers` that has a token here, or the first of all if none has one.
    pub(crate) fn addressed_to<'a>(&self, providers: &'a [Provider]) -> &'a Provider {
        // For a check that accepts no provider at all.
        static NO_PROVIDER: Provider = Provider::new("none", &[]);
        let mut addressed = providers.iter().filter(|p| self.has_token_for(p));
        let addressed = addressed.next().or(providers.first());
        addressed.unwrap_or(&NO_PROVIDER)
    }

    /// Returns the names and values that arrived for `provider`.
    #[cfg(feature = "replay")]
    pub(crate) fn values<'a>(
        &'a self,
        provider: &'a Provider,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.parts.iter().filter(|part| part.provider == *provider);
        own.map(|part| (&*part.name, part.text.as_deref().unwrap_or_default()))
    }

    /// Returns the visitor's address, if it is known.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Returns the visitor's user agent, if it is known.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// Returns the label of the route.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.route.as_ref()
    }

    /// Returns the id for the records of a shadow.
    pub fn record_id(&self) -> Option<&Arc<str>> {
        self.record_id.as_ref()
    }

    /// Returns the action that the route expects.
    pub fn expected_action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// Returns the binding that the route expects.
    pub fn expected_binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

    /// Returns the reason to refuse if `facts` do not meet the expectations.
    pub(crate) fn unmet_by(&self, facts: &Facts) -> Option<Reason> {
        if let Some(expected) = self.expected_action() {
            match &facts.action {
                None => return Some(Reason::EvidenceAbsent(FactKind::Action)),
                Some(action) if !action.matches(expected) => return Some(Reason::WrongAction),
                Some(_) => {}
            }
        }
        match (self.expected_binding(), &facts.binding) {
            (None, _) => None,
            (Some(_), None) => Some(Reason::EvidenceAbsent(FactKind::Binding)),
            (Some(expected), Some(binding)) => {
                (expected != binding).then_some(Reason::WrongBinding)
            }
        }
    }
}

/// Returns whether `text` is printable ASCII without spaces.
///
/// It looks at all bytes, in pieces, so that the compiler tests many of them with one vector
/// instruction.
fn is_printable(text: &str) -> bool {
    // From `!`, the first printable character, to `~`, the last one.
    let place = |byte: &u8| byte.wrapping_sub(b'!');
    let (pieces, rest) = text.as_bytes().as_chunks::<64>();
    let mut highest = [0_u8; 64];
    for piece in pieces {
        for (highest, byte) in highest.iter_mut().zip(piece) {
            *highest = place(byte).max(*highest);
        }
    }
    let rest = rest.iter().map(place);
    highest.into_iter().chain(rest).max() <= Some(b'~' - b'!')
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| (&part.provider, &part.name, "[redacted]"))
            .collect();
        f.debug_struct("Submission")
            .field("parts", &parts)
            .field("client_ip", &self.client_ip.map(|_| "[redacted]"))
            .field(
                "user_agent",
                &self.user_agent.as_ref().map(|_| "[redacted]"),
            )
            .field("expected_action", &self.action)
            .field(
                "expected_binding",
                &self.binding.as_ref().map(|_| "[redacted]"),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider::new("acme", &["acme-response"]);

    #[test]
    fn named_values_are_kept_apart() {
        let submission = Submission::new()
            .with_token_part(&ACME, "lot_number", "1")
            .with_token_part(&ACME, "pass_token", "2");
        assert_eq!(submission.token_part(&ACME, "lot_number", 10).unwrap(), "1");
        assert_eq!(submission.token_part(&ACME, "pass_token", 10).unwrap(), "2");
        assert_eq!(
            submission.token_for(&ACME, 10).unwrap_err().reason(),
            Reason::Missing
        );
    }

    #[test]
    fn the_same_token_twice_is_one_and_two_are_none() {
        let once = Submission::new()
            .with_token(&ACME, "a")
            .with_token(&ACME, "a");
        assert_eq!(once.token_for(&ACME, 10).unwrap(), "a");
        let two = once.with_token(&ACME, "b");
        assert_eq!(
            two.token_for(&ACME, 10).unwrap_err().reason(),
            Reason::Malformed
        );
    }

    #[test]
    fn what_is_far_too_long_is_not_even_kept() {
        let long = Submission::new().with_token(&ACME, "a".repeat(MAX_KEPT_BYTES + 1));
        assert!(long.has_token_for(&ACME));
        assert!(long.parts[0].text.is_none());
        assert_eq!(
            long.token_for(&ACME, usize::MAX).unwrap_err().reason(),
            Reason::Malformed
        );
    }

    #[test]
    fn an_address_that_a_dual_stack_socket_wrapped_is_unwrapped() {
        let submission = Submission::new().with_client_ip("::ffff:203.0.113.7".parse().unwrap());
        assert_eq!(submission.client_ip().unwrap().to_string(), "203.0.113.7");
        let submission = Submission::new().with_client_ip("2001:db8::7".parse().unwrap());
        assert_eq!(submission.client_ip().unwrap().to_string(), "2001:db8::7");
    }
}
