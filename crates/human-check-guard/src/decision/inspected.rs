//! What is inspected of a request before anybody is asked.

use std::net::IpAddr;
use std::time::Instant;

use crate::decision::Pending;
use crate::decision::pending::Evidence;
use crate::decision::report::{self, Weight};
use crate::decision::responder::Responder;
use crate::request_head::Single;
use crate::snapshot::Snapshot;
use crate::tokens::Sorted;
use crate::tokens::{SubmittedTokens, TokenFields};
use crate::{DenialReason, Rejection, RequestHead, Signals};

/// Where a script that sends a token in the header says whose it is.
pub(crate) const PROVIDER_HEADER: &str = "x-captcha-provider";

/// `XX` is Cloudflare's word for unknown, and `T1`, for Tor, is no country.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) && code != "XX"
}

/// An address that means something to a provider, who sees the visitor from outside.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// The head of a request that was looked at. Its body may still be on the way.
#[derive(Debug)]
#[must_use = "nothing is decided before it is settled"]
pub struct Inspected {
    reply: Responder,
    tokens: SubmittedTokens,
    client_ip: Option<IpAddr>,
    user_agent: Option<String>,
    country: Option<String>,
    /// Only where a trigger may want to know.
    method: Option<String>,
    since: Instant,
}

impl Inspected {
    /// Looks at a request's head, and asks nobody yet.
    pub(crate) fn new(guard: &Snapshot, head: &dyn RequestHead) -> Self {
        let site = guard.site();
        let mut reply = Responder::plain(guard);
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
                reply.listen(name, line);
            }
            if let Some(known) = &site.country_header
                && name.eq_ignore_ascii_case(known)
            {
                country.add(line);
            }
        });
        let conditional = !guard.policy().trigger.is_always();
        let believed = conditional && site.client.trusts(head.peer());
        Self {
            reply,
            tokens: header_tokens(guard, lines, provider),
            country: country.text().filter(|code| believed && is_country(code)),
            method: conditional.then(|| head.method().to_owned()),
            client_ip: guard.client_ip(head),
            // A blank one says as little as none.
            user_agent: user_agent.text().filter(|agent| !agent.trim().is_empty()),
            since: Instant::now(),
        }
    }

    /// Adds the tokens that stood in the body. Every source is looked at, and what they say must
    /// agree.
    pub fn with_tokens(mut self, body: SubmittedTokens) -> Pending {
        self.tokens.append(body);
        let guard = self.reply.guard();
        let evidence = match self.tokens.sort(guard.fields()) {
            Sorted::Unusable => Evidence::Unusable("contradictory"),
            Sorted::Answered(mut submission) => {
                if let Some(action) = &guard.policy().action {
                    submission = submission.with_expected_action(action.clone());
                }
                if let Some(ip) = self.client_ip.filter(|ip| is_public(*ip)) {
                    submission = submission.with_client_ip(ip);
                }
                if let Some(agent) = self.user_agent {
                    submission = submission.with_user_agent(agent);
                }
                Evidence::Submitted(submission)
            }
            Sorted::Nothing { foreign } => Evidence::Absent {
                foreign,
                signals: self.method.map(|method| Signals {
                    client_ip: self.client_ip,
                    user_agent: self.user_agent,
                    country: self.country,
                    method,
                }),
            },
        };
        Pending::new(self.reply, evidence, self.since)
    }

    /// Refuses for a reason that needs no check, and counts that.
    pub fn refuse(&self, denial: DenialReason) -> Rejection {
        let guard = self.reply.guard();
        let weight = Weight::of(&Err(denial));
        report::observe(guard, denial.as_str(), "", "", self.since.elapsed(), weight);
        self.reply.refuse(denial)
    }
}

fn header_tokens(guard: &Snapshot, lines: Vec<Vec<u8>>, provider: Single) -> SubmittedTokens {
    let provider = provider.text();
    let mut tokens = SubmittedTokens::none();
    let providers = guard.site().check.providers();
    let several = lines.len() > 1;
    for line in lines {
        let owner = match providers {
            [_] => Some(0),
            _ => providers
                .iter()
                .position(|known| Some(known.name()) == provider.as_deref()),
        };
        match (owner, String::from_utf8(line)) {
            (Some(owner), Ok(token)) if !several => tokens.push(TokenFields::own(owner), token),
            // A token that cannot be attributed is shown to nobody.
            _ => tokens.push_unusable(TokenFields::own(0)),
        }
    }
    tokens
}
