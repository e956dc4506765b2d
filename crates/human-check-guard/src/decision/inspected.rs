//! The first step of a decision: what the head of a request says. The check is not called here.

use std::net::IpAddr;
use std::time::Instant;

use crate::decision::report::{self, Severity};
use crate::decision::responder::Responder;
use crate::request_head::Single;
use crate::snapshot::Snapshot;
use crate::tokens::{SubmittedTokens, TokenFields};
use crate::{DenialReason, Rejection, RequestHead};

/// The header in which a script names the provider of the token in the token's header.
pub(crate) const PROVIDER_HEADER: &str = "x-captcha-provider";

/// Whether `code` is a country. Cloudflare sends `XX` for an unknown country, and `T1` for Tor,
/// which is none.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) && code != "XX"
}

/// A request whose head was read. Its body may still be on the way.
///
/// [`Guard::inspect`](crate::Guard::inspect) creates it. [`with_tokens`](Self::with_tokens) leads
/// to the decision, and [`refuse`](Self::refuse) ends the request before that.
#[derive(Clone, Debug)]
#[must_use = "an inspected request is not decided yet"]
pub struct Inspected {
    pub(super) responder: Responder,
    pub(super) tokens: SubmittedTokens,
    pub(super) client_ip: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
    pub(super) country: Option<String>,
    /// `None` if the trigger challenges every request and so needs no signals.
    pub(super) method: Option<String>,
    pub(super) since: Instant,
}

impl Inspected {
    /// Reads the head of a request. It does not call the check.
    pub(crate) fn new(guard: &Snapshot, head: &dyn RequestHead) -> Self {
        let site = guard.site();
        let mut responder = Responder::plain(guard);
        let mut lines = Vec::new();
        let [mut provider, mut user_agent, mut country] = [(); 3].map(|()| Single::default());
        head.headers(&mut |name, line| {
            if name.eq_ignore_ascii_case(&site.header) {
                if !line.is_empty() {
                    lines.push(line.to_owned());
                }
            } else if name.eq_ignore_ascii_case("user-agent") {
                user_agent.add(line);
            } else if name.eq_ignore_ascii_case(PROVIDER_HEADER) {
                provider.add(line);
            } else {
                responder.read_header(name, line);
            }
            if let Some(known) = &site.country_header
                && name.eq_ignore_ascii_case(known)
            {
                country.add(line);
            }
        });
        let needs_signals = !guard.policy().trigger.is_always();
        let trusts_country = needs_signals && site.client.trusts(head.peer());
        Self {
            responder,
            tokens: header_tokens(guard, lines, provider),
            country: country
                .text()
                .filter(|code| trusts_country && is_country(code)),
            method: needs_signals.then(|| head.method().to_owned()),
            client_ip: guard.client_ip(head),
            // A blank user agent counts as a missing one.
            user_agent: user_agent
                .text()
                .filter(|agent| agent.contains(|c: char| !c.is_whitespace())),
            since: Instant::now(),
        }
    }

    /// Returns the client's address, if it is known.
    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Returns whether the head has a token.
    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Refuses the request without a call of the check. The refusal is logged and passed to the
    /// observers.
    pub fn refuse(&self, denial: DenialReason) -> Rejection {
        let guard = self.responder.guard();
        let severity = Severity::of(&Err(denial));
        report::observe(guard, denial.as_str(), "", "", self.since, severity);
        self.responder.refuse(denial)
    }
}

/// Returns the token of the token header, and which provider it is for.
fn header_tokens(guard: &Snapshot, lines: Vec<Vec<u8>>, provider: Single) -> SubmittedTokens {
    let provider = provider.text();
    let mut tokens = SubmittedTokens::none();
    let providers = guard.site().check.providers();
    let several = lines.len() > 1;
    for line in lines {
        let owner = match (providers, provider.as_deref()) {
            ([_], None) => Some(0),
            // The token of a provider that is no longer accepted, for example.
            ([only], Some(name)) if name != only.name() => continue,
            _ => providers
                .iter()
                .position(|known| Some(known.name()) == provider.as_deref()),
        };
        match (owner, String::from_utf8(line)) {
            (Some(owner), Ok(token)) if !several => tokens.push(TokenFields::own(owner), token),
            // No provider receives a token that cannot be attributed. The request is refused.
            _ => tokens.push_unusable(TokenFields::own(0)),
        }
    }
    tokens
}
