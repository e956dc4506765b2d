//! What is seen of a request before anybody is asked.

use std::net::IpAddr;
use std::time::Instant;

use crate::answer::Reply;
use crate::decision::{Evidence, Weight};
use crate::fields::Sorted;
use crate::head::Single;
use crate::{Answers, Denial, Examined, Fields, Guard, Refused, RequestHead, Signals};

impl Guard {
    /// Looks at a request's head, and asks nobody yet.
    pub fn look(&self, head: &dyn RequestHead) -> Seen {
        let site = self.site();
        let mut reply = Reply::plain(self);
        let mut tokens = Vec::new();
        let [mut provider, mut user_agent, mut country] = [(); 3].map(|()| Single::default());
        head.headers(&mut |name, line| {
            if name.eq_ignore_ascii_case(&site.header) {
                if !line.is_empty() {
                    tokens.push(line.to_owned());
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
        let conditional = !self.policy().trigger.is_always();
        let believed = conditional && site.client.trusts(head.peer());
        Seen {
            reply,
            answers: self.header_answers(tokens, provider),
            country: country.text().filter(|code| believed && is_country(code)),
            method: conditional.then(|| head.method().to_owned()),
            client_ip: self.client_ip(head),
            // A blank one says as little as none.
            user_agent: user_agent.text().filter(|agent| !agent.trim().is_empty()),
            since: Instant::now(),
        }
    }

    /// Looks at a whole request: its head, and the answers from its body.
    pub fn examine(&self, head: &dyn RequestHead, answers: Answers) -> Examined {
        self.look(head).with(answers)
    }

    fn header_answers(&self, tokens: Vec<Vec<u8>>, provider: Single) -> Answers {
        let provider = provider.text();
        let mut answers = Answers::none();
        let providers = self.site().check.accepts();
        let several = tokens.len() > 1;
        for token in tokens {
            let owner = match providers {
                [_] => Some(0),
                _ => providers
                    .iter()
                    .position(|known| Some(known.name()) == provider.as_deref()),
            };
            match (owner, String::from_utf8(token)) {
                (Some(owner), Ok(token)) if !several => answers.push(Fields::own(owner), token),
                // A token that cannot be attributed is shown to nobody.
                _ => answers.push_unusable(Fields::own(0)),
            }
        }
        answers
    }
}

/// Where a script that sends a token in the header says whose it is.
pub(crate) const PROVIDER_HEADER: &str = "x-captcha-provider";

/// `XX` is Cloudflare's word for unknown, and `T1`, for Tor, is no country.
fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) && code != "XX"
}

/// An address that means something to a vendor, who sees the visitor from outside.
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
pub struct Seen {
    reply: Reply,
    answers: Answers,
    client_ip: Option<IpAddr>,
    user_agent: Option<String>,
    country: Option<String>,
    /// Only where a trigger may want to know.
    method: Option<String>,
    since: Instant,
}

impl Seen {
    /// Adds the answers that stood in the body. Every source is looked at, and what they say must
    /// agree.
    pub fn with(mut self, body: Answers) -> Examined {
        self.answers.append(body);
        let guard = self.reply.guard();
        let evidence = match self.answers.sort(guard.fields()) {
            Sorted::Unusable => Evidence::Unusable("contradictory"),
            Sorted::Answered(mut submission) => {
                if let Some(action) = &guard.policy().action {
                    submission = submission.expecting_action(action.clone());
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
        Examined::new(self.reply, evidence, self.since)
    }

    /// Refuses for a reason that needs no check, and counts that.
    pub fn refuse(&self, denial: Denial) -> Refused {
        let guard = self.reply.guard();
        let weight = Weight::of(&Err(denial));
        guard.observe(denial.name(), "", "", self.since.elapsed(), weight);
        self.reply.refuse(denial)
    }
}
