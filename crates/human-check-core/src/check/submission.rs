use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::{FactKind, Facts, Provider, Reason, Refusal};

/// The longest token that is asked about unless an adapter says otherwise, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8_192;

/// Anything longer is not even kept.
const KEEP_CAP: usize = 65_536;

/// What one visitor handed in, what is known of the request, and what the route expects.
///
/// Answers are kept by provider: a Turnstile token means nothing to hCaptcha, and which parts
/// arrived decides who is asked. What the visitor sends is the parts and nothing else; the
/// expectations come from the server. `Debug` shows which parts are there and none of their text.
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
}

#[derive(Clone)]
struct TokenPart {
    provider: Provider,
    name: Cow<'static, str>,
    /// `None` when it was too long to keep.
    text: Option<String>,
}

/// The name of a provider's only value.
const TOKEN: &str = "token";

impl Submission {
    /// A submission with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the token that arrived for `provider`.
    ///
    /// Take it as it came: trimming or decoding it would change whose token it is. The same token
    /// twice is one token; two different ones for one provider contradict and are refused.
    #[must_use]
    pub fn with_token(self, provider: &Provider, token: impl Into<String>) -> Self {
        self.with_token_part(provider, TOKEN, token)
    }

    /// Adds one of several named values, for the few providers whose part is more than a token.
    #[must_use]
    pub fn with_token_part(
        mut self,
        provider: &Provider,
        name: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        let text = text.into();
        self.parts.push(TokenPart {
            provider: provider.clone(),
            name: name.into(),
            text: (text.len() <= KEEP_CAP).then_some(text),
        });
        self
    }

    /// Says which address the visitor has. Leave it out when unsure: providers refuse honest
    /// visitors whose address is a proxy's.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        // `::ffff:203.0.113.7` is what a dual-stack socket says and no provider expects.
        self.client_ip = Some(ip.to_canonical());
        self
    }

    /// Says what the visitor's browser calls itself. Cut at 1,024 bytes.
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

    /// Says which action the challenge must have been solved for. Enforced by every check.
    #[must_use]
    pub fn with_expected_action(mut self, action: impl Into<Cow<'static, str>>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Says which value of ours (cdata, uid, session id) the challenge must have been tied to.
    /// Enforced by every check.
    #[must_use]
    pub fn with_expected_binding(mut self, binding: impl Into<String>) -> Self {
        self.binding = Some(binding.into());
        self
    }

    /// The token for `provider`, if it can be one: 1 to `cap` bytes of printable ASCII without spaces.
    ///
    /// # Errors
    ///
    /// A [`Refusal`]: [`Reason::Missing`] when there is none or it is empty,
    /// [`Reason::Malformed`] when it cannot be a token. Costs no allocation.
    pub fn token_for(&self, provider: &Provider, cap: usize) -> Result<&str, Refusal> {
        self.token_part(provider, TOKEN, cap)
    }

    /// A named value for `provider`, under the same rules as [`token`](Self::token).
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    pub fn token_part(&self, provider: &Provider, name: &str, cap: usize) -> Result<&str, Refusal> {
        let mut texts = self
            .parts
            .iter()
            .filter(|part| part.provider == *provider && part.name == name)
            .map(|part| part.text.as_deref());
        let Some(first) = texts.next() else {
            return Err(Refusal::new(Reason::Missing));
        };
        if texts.any(|other| other != first) {
            return Err(Refusal::new(Reason::Malformed));
        }
        match first {
            Some("") => Err(Refusal::new(Reason::Missing)),
            Some(text) if text.len() <= cap && is_printable(text) => Ok(text),
            _ => Err(Refusal::new(Reason::Malformed)),
        }
    }

    /// Whether anything arrived for `provider`, good or bad.
    pub fn has_token_for(&self, provider: &Provider) -> bool {
        self.parts.iter().any(|a| a.provider == *provider)
    }

    /// Whether anything that is not empty arrived for one of `providers`.
    pub fn has_token_for_any(&self, providers: &[Provider]) -> bool {
        self.parts
            .iter()
            .any(|a| a.text.as_deref() != Some("") && providers.contains(&a.provider))
    }

    /// The same submission with the parts for `providers` and no others, so that nobody is shown
    /// a token that was made for somebody else.
    #[must_use]
    pub fn retain_providers(&self, providers: &[Provider]) -> Self {
        let mut own = self.clone();
        own.parts.retain(|a| providers.contains(&a.provider));
        own
    }

    /// The same without the expectations that a check with these `reports` can never meet.
    #[cfg(feature = "tokio")]
    pub(crate) fn expecting_what(mut self, reports: crate::Capabilities) -> Self {
        use crate::Support::Never;
        self.action
            .take_if(|_| reports.of(FactKind::Action) == Never);
        self.binding
            .take_if(|_| reports.of(FactKind::Binding) == Never);
        self
    }

    /// Why a check that accepts `providers` refuses this without asking anybody, where it does.
    ///
    /// For combinators that part in place of a check, such as an open breaker: what a visitor
    /// forgot or garbled is refused during an outage, too.
    ///
    /// # Errors
    ///
    /// The [`Refusal`]: [`Reason::Malformed`] when something for one of them cannot be an part,
    /// [`Reason::Missing`] when there is nothing for any of them.
    pub fn precheck(&self, providers: &[Provider]) -> Result<(), Refusal> {
        let mut outcome = Err(Refusal::new(Reason::Missing));
        for part in &self.parts {
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

    /// Whom of `providers` this is addressed to: the first whose part is here, or else the first.
    pub(crate) fn addressed_to<'a>(&self, providers: &'a [Provider]) -> &'a Provider {
        static NOBODY: Provider = Provider::new("nobody", &[]);
        let mut addressed = providers.iter().filter(|p| self.has_token_for(p));
        let addressed = addressed.next().or(providers.first());
        addressed.unwrap_or(&NOBODY)
    }

    /// What arrived for `provider`, as names and values.
    #[cfg(feature = "replay")]
    pub(crate) fn values<'a>(
        &'a self,
        provider: &'a Provider,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.parts.iter().filter(|a| a.provider == *provider);
        own.map(|a| (&*a.name, a.text.as_deref().unwrap_or_default()))
    }

    /// The visitor's address, where it is known.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// What the visitor's browser calls itself, where it is known.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The action this route expects.
    pub fn expected_action(&self) -> Option<&str> {
        self.action.as_deref()
    }

    /// The binding this route expects.
    pub fn expected_binding(&self) -> Option<&str> {
        self.binding.as_deref()
    }

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

/// Looks at every byte even after a bad one: without the early exit it is one vector instruction
/// for many bytes.
fn is_printable(text: &str) -> bool {
    let bytes = text.as_bytes().iter();
    bytes.fold(true, |so_far, byte| so_far & byte.is_ascii_graphic())
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|a| (&a.provider, &a.name, "[redacted]"))
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
        let long = Submission::new().with_token(&ACME, "a".repeat(KEEP_CAP + 1));
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
