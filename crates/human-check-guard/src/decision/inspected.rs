//! The first step of a decision: what the head of a request says. The check is not called here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::clearance::{Clearance, cookie_name, read_cookie};

use crate::decision::refusal_page::KeptForm;
use crate::decision::report::{self, Observed, Severity};
use crate::decision::responder::Responder;
use crate::request_head::Single;
use crate::selection::{NameDigest, OFFER_HEADER, name_digest};
use crate::snapshot::Snapshot;
use crate::tokens::{FieldId, SubmittedTokens, TokenFields};
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
    /// The list of accounts for the host and the country of the request.
    pub(super) list: usize,
    pub(super) client_ip: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
    pub(super) country: Option<String>,
    /// `None` if the trigger challenges every request and so needs no signals.
    pub(super) method: Option<String>,
    /// The valid clearances of the request, and the names of the routes that issued them.
    pub(super) clearances: Vec<(Clearance, Arc<str>)>,
    /// The session that a clearance is bound to.
    pub(super) session: NameDigest,
    /// Whether the page of a refusal may send the form of the request again.
    pub(super) resends_form: bool,
    pub(super) since: Instant,
}

impl Inspected {
    /// Reads the head of a request. It does not call the check.
    pub(crate) fn new(guard: &Snapshot, head: &dyn RequestHead) -> Self {
        let site = guard.site();
        let mut responder = Responder::plain(guard);
        let mut lines = Vec::new();
        let mut offer = SubmittedTokens::none();
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
            } else if name.eq_ignore_ascii_case(OFFER_HEADER) {
                match std::str::from_utf8(line) {
                    Ok(text) => offer.push(FieldId::OFFER, text),
                    Err(_) => offer.push_unusable(FieldId::OFFER),
                }
            } else {
                responder.read_header(name, line);
            }
            if let Some(known) = &site.country_header
                && name.eq_ignore_ascii_case(known)
            {
                country.add(line);
            }
        });
        let selection = &site.selection;
        let needs_signals = !guard.policy().trigger.is_always();
        let needs_country = needs_signals || !selection.by_country.is_empty();
        let trusts_country = needs_country && site.client.trusts(head.peer());
        let country = country
            .text()
            .filter(|code| trusts_country && is_country(code));
        let host = match selection.by_host.is_empty() {
            true => None,
            false => head.host(),
        };
        let list = selection.list_for(host.as_deref(), country.as_deref());
        responder.set_list(list);
        responder.set_experiment(guard.read_experiment(head));
        let mut tokens = header_tokens(guard, list, lines, &provider);
        tokens.append(offer);
        let policy = guard.policy();
        let session = match (policy.issues_clearance, &policy.accepts_clearance) {
            (None, None) => NameDigest::default(),
            _ => guard.session(head),
        };
        Self {
            resends_form: responder.resends_form(head.method(), || head.host()),
            clearances: clearances(guard, head, session),
            session,
            responder,
            tokens,
            list,
            country,
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

    /// Returns whether the page of a refusal may send the form of the request again.
    pub(crate) fn resends_form(&self) -> bool {
        self.resends_form
    }

    /// Keeps the form that the page of a refusal sends again.
    pub(crate) fn keep_form(&mut self, form: KeptForm) {
        self.responder.keep_form(form);
    }

    /// Returns the list of accounts for the request.
    pub(crate) fn list(&self) -> usize {
        self.list
    }

    /// Returns whether the head has a token.
    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Returns whether the body cannot change which account judges: the guard has one account, or the
    /// head has an offer.
    pub(crate) fn is_judge_known(&self) -> bool {
        self.tokens.offer().is_some() || self.responder.guard().judges().is_single()
    }

    /// Refuses the request without a call of the check. The refusal is logged and passed to the
    /// observers.
    pub fn refuse(&self, denial: DenialReason) -> Rejection {
        let guard = self.responder.guard();
        let severity = Severity::of(&Err(denial));
        report::observe(guard, &Observed::of(denial), self.since, severity);
        self.responder.refuse(denial)
    }
}

/// The most cookies that are looked at for each route that issues clearances.
const MAX_COOKIES: usize = 4;

/// Returns the valid clearances of a request that the route accepts.
fn clearances(
    guard: &Snapshot,
    head: &dyn RequestHead,
    session: NameDigest,
) -> Vec<(Clearance, Arc<str>)> {
    let mut valid = Vec::new();
    let Some(accepted) = &guard.policy().accepts_clearance else {
        return valid;
    };
    let (keys, now) = (&guard.site().keys, guard.now());
    for issuer in &accepted.from {
        let route = name_digest(&[issuer]);
        let name = cookie_name(&route);
        let mut seen = 0;
        head.header("cookie", &mut |line| {
            read_cookie(line, &name, &mut |text| {
                seen += 1;
                if seen > MAX_COOKIES {
                    return;
                }
                let read = Clearance::verify(text, keys, route, session, accepted.ttl, now);
                valid.extend(read.map(|clearance| (clearance, Arc::from(issuer.as_str()))));
            });
        });
    }
    valid
}

/// Returns the token of the token header, and which provider it is for. Without the name of a
/// provider it is for the primary account of the list.
fn header_tokens(
    guard: &Snapshot,
    list: usize,
    lines: Vec<Vec<u8>>,
    provider: &Single,
) -> SubmittedTokens {
    let mut tokens = SubmittedTokens::none();
    let several = lines.len() > 1;
    for line in lines {
        let (fields, judges) = (guard.fields(), guard.judges());
        let owner = match provider.as_str() {
            None => {
                let primary = judges.get(judges.first_of(list));
                fields.index_of(primary.account.provider().name())
            }
            Some(name) => fields.index_of(name),
        };
        let Some(owner) = owner else {
            // The token of a provider that is no longer accepted, for example.
            continue;
        };
        match String::from_utf8(line) {
            Ok(token) if !several && !provider.is_unusable() => {
                tokens.push(TokenFields::own(owner), token);
            }
            // No provider receives a token that cannot be attributed. The request is refused.
            _ => tokens.push_unusable(TokenFields::own(owner)),
        }
    }
    tokens
}
