//! The dialect that most vendors speak: a boolean, and codes that say why not.
//!
//! An adapter says what each code means; who wins when several arrive, and what a status or a
//! missing boolean means, is the same for all and decided here.

use human_check_core::{
    CheckError, ErrorKind, Facts, Provider, Reason, Refusal, TestingCredentials, Verdict,
};
use serde::Deserialize;

use crate::Reply;
use crate::json::{self, Codes};

/// Whose fault a vendor's code is.
///
/// When several codes come together, the first of this order wins: a wrong secret must never
/// look like a visitor's failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// Our configuration is wrong. The name says what of it.
    Owner(&'static str),
    /// The vendor will not judge, for example because a quota is spent.
    Declined(&'static str),
    /// The vendor is in trouble.
    Vendor(&'static str),
    /// The visitor did not pass, in a way that a wrong configuration causes too, so the owner is told.
    Suspect(Reason),
    /// The visitor did not pass.
    Visitor(Reason),
    /// A code this library does not know.
    Unknown,
}

impl Blame {
    fn rank(self) -> u8 {
        match self {
            Self::Owner(_) => 0,
            Self::Declined(_) => 1,
            Self::Vendor(_) => 2,
            Self::Suspect(_) => 3,
            Self::Visitor(_) => 4,
            Self::Unknown => 5,
        }
    }
}

/// An answer with a boolean verdict and codes.
pub trait Answer {
    /// The verdict member: `None` when it is absent or `null`.
    fn success(&self) -> Option<bool>;
    /// The codes.
    fn codes(&self) -> &Codes;
}

/// Reads a reply: `Ok((answer, None))` is a yes, `Ok((answer, Some(refusal)))` a no.
///
/// # Errors
///
/// [`CheckError`] when the reply is neither, see [`decide`].
pub fn read<'r, A: Answer + Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
    blame: impl Fn(&str) -> Blame,
) -> Result<(A, Option<Refusal>), CheckError> {
    let answer: A = match object_or_rejection(provider, reply) {
        // A 5xx or 429 is an outage, unless the vendor says by a code whose fault it is. It is
        // never a yes.
        Err(outage) if outage.kind() == ErrorKind::Unavailable => {
            return match json::object::<A>(reply.body()) {
                Ok(answer) => {
                    let codes = answer.codes().as_slice();
                    let refusal = overrule(outage, reply, answer.success(), codes, blame)?;
                    Ok((answer, Some(refusal)))
                }
                Err(_) => Err(outage),
            };
        }
        read => read?,
    };
    let refusal = decide(
        provider,
        reply,
        answer.success(),
        answer.codes().as_slice(),
        blame,
    )?;
    Ok((answer, refusal))
}

/// What a 5xx or 429 means when its body names codes: whose fault a known code says it is, and
/// otherwise the outage. Never a yes.
///
/// # Errors
///
/// `outage` itself, or what [`decide`] says.
pub fn overrule(
    outage: CheckError,
    reply: &Reply,
    success: Option<bool>,
    codes: &[String],
    blame: impl Fn(&str) -> Blame,
) -> Result<Refusal, CheckError> {
    let says_more = |code: &String| !matches!(blame(code), Blame::Unknown | Blame::Vendor(_));
    if success == Some(true) || !codes.iter().any(says_more) {
        return Err(outage);
    }
    let provider = outage.provider().clone();
    decide(&provider, reply, Some(false), codes, blame)?.ok_or(outage)
}

/// Reads the body of a 200 as one JSON object, for vendors that say all they have to say on 200.
///
/// # Errors
///
/// What [`Reply::check_status`] says, `Misconfigured` for any 4xx, and `Protocol` when the body is
/// no object.
pub fn object<'r, A: Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
) -> Result<A, CheckError> {
    let answer = object_or_rejection(provider, reply)?;
    if reply.is_rejection() {
        return Err(CheckError::new(
            ErrorKind::Misconfigured,
            provider,
            "request-rejected",
        ));
    }
    Ok(answer)
}

/// Reads the body of a 200 **or 4xx** as one JSON object, for vendors that refuse by status.
///
/// The caller sees to it that a 4xx is never a yes, whatever its body says; [`decide`] does.
///
/// # Errors
///
/// What [`Reply::check_status`] says. A body that is no object is `Protocol` on 200 and
/// `Misconfigured` on 4xx, where the vendor did not even find our request worth an answer.
pub fn object_or_rejection<'r, A: Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
) -> Result<A, CheckError> {
    reply.check_status(provider)?;
    json::object(reply.body()).map_err(|malformed| {
        let (kind, reason) = if reply.is_rejection() {
            (ErrorKind::Misconfigured, "request-rejected")
        } else {
            (ErrorKind::Protocol, "unreadable-reply")
        };
        CheckError::new(kind, provider, reason).with_source(malformed)
    })
}

/// Decides between yes (`None`), no (a refusal) and no verdict (an error).
///
/// A yes is the literal `true` on status 200 with no code beside it, and nothing else.
///
/// # Errors
///
/// - `Misconfigured` when a code blames the owner, or a 4xx says nothing that is known.
/// - `Declined` and `Unavailable` when a code says so.
/// - `Protocol` when a success contradicts its status or its codes, or there is no verdict.
pub fn decide(
    provider: &Provider,
    reply: &Reply,
    success: Option<bool>,
    codes: &[String],
    blame: impl Fn(&str) -> Blame,
) -> Result<Option<Refusal>, CheckError> {
    let shown = || codes.iter().take(Codes::MOST).cloned().collect::<Vec<_>>();
    let error = |kind, reason| {
        Err(CheckError::new(kind, provider, reason)
            .with_codes(shown())
            .with_retry_after(reply.retry_after()))
    };
    if success == Some(true) && codes.is_empty() && reply.status() == 200 {
        return Ok(None);
    }
    let worst = codes
        .iter()
        .map(|code| blame(code))
        .min_by_key(|blame| blame.rank())
        .unwrap_or(Blame::Unknown);
    match (success, worst) {
        (_, Blame::Declined(reason)) => error(ErrorKind::Declined, reason),
        (Some(true), _) => error(ErrorKind::Protocol, "success-contradicted"),
        (_, Blame::Owner(reason)) => error(ErrorKind::Misconfigured, reason),
        (Some(false), Blame::Vendor(reason)) => error(ErrorKind::Unavailable, reason),
        (Some(false), Blame::Suspect(reason)) => {
            Ok(Some(Refusal::new(reason).with_codes(shown()).alerting()))
        }
        (Some(false), Blame::Visitor(reason)) => Ok(Some(Refusal::new(reason).with_codes(shown()))),
        (_, _) if reply.is_rejection() => error(ErrorKind::Misconfigured, "request-rejected"),
        (Some(false), Blame::Unknown) => Ok(Some(Refusal::new(Reason::Other).with_codes(shown()))),
        (None, _) => error(ErrorKind::Protocol, "no-verdict"),
    }
}

/// Puts facts and decision together, and refuses answers to testing keys that were not allowed.
///
/// Those raise an alert: either the secret is a testing one, or a visitor claims a host that
/// only testing keys report.
pub fn conclude(facts: Facts, refusal: Option<Refusal>, testing: TestingCredentials) -> Verdict {
    match refusal {
        Some(refusal) => refusal.with_facts(facts).into(),
        None if facts.testing_credentials && !testing.allowed() => {
            Refusal::new(Reason::TestingCredentials)
                .with_facts(facts)
                .alerting()
                .into()
        }
        None => Verdict::Human(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider::new("acme", &[]);

    fn blame(code: &str) -> Blame {
        match code {
            "owner" => Blame::Owner("secret"),
            "quota" => Blame::Declined("quota"),
            "vendor" => Blame::Vendor("internal"),
            "suspect" => Blame::Suspect(Reason::WrongSiteKey),
            "visitor" => Blame::Visitor(Reason::Invalid),
            _ => Blame::Unknown,
        }
    }

    fn outcome(status: u16, success: Option<bool>, codes: &[&str]) -> String {
        let codes: Vec<String> = codes.iter().map(|c| (*c).to_owned()).collect();
        match decide(&ACME, &Reply::new(status, ""), success, &codes, blame) {
            Ok(None) => "human".into(),
            Ok(Some(refusal)) => refusal.reason().name().into(),
            Err(error) => error.kind().name().into(),
        }
    }

    #[test]
    fn only_true_on_200_without_codes_is_a_yes() {
        for status in [200, 201, 204, 301, 400, 403, 418, 429, 500, 503] {
            for success in [Some(true), Some(false), None] {
                for codes in [
                    &[][..],
                    &["owner"],
                    &["quota"],
                    &["vendor"],
                    &["suspect"],
                    &["visitor"],
                    &["new"],
                ] {
                    let yes = status == 200 && success == Some(true) && codes.is_empty();
                    assert_eq!(
                        outcome(status, success, codes) == "human",
                        yes,
                        "{status} {success:?} {codes:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_owners_codes_win_then_the_vendors_then_the_visitors() {
        assert_eq!(
            outcome(200, Some(false), &["visitor", "owner"]),
            "misconfigured"
        );
        assert_eq!(outcome(400, Some(false), &["owner"]), "misconfigured");
        assert_eq!(
            outcome(200, Some(false), &["visitor", "vendor"]),
            "unavailable"
        );
        assert_eq!(
            outcome(200, Some(false), &["visitor", "suspect"]),
            "wrong-site-key"
        );
        assert_eq!(outcome(200, Some(false), &["new", "visitor"]), "invalid");
        assert_eq!(outcome(200, Some(false), &["new"]), "other");
        assert_eq!(outcome(200, Some(false), &[]), "other");
        assert_eq!(outcome(200, None, &["owner"]), "misconfigured");
        assert_eq!(outcome(200, None, &["visitor"]), "protocol");
    }

    #[test]
    fn a_success_beside_a_code_is_never_a_pass() {
        assert_eq!(outcome(200, Some(true), &["quota"]), "declined");
        assert_eq!(outcome(200, Some(true), &["visitor"]), "protocol");
        assert_eq!(outcome(200, Some(true), &["new"]), "protocol");
        assert_eq!(outcome(400, Some(true), &[]), "protocol");
    }

    #[test]
    fn a_quota_comes_before_the_vendors_trouble_and_a_wish_to_wait_is_kept() {
        assert_eq!(outcome(200, Some(false), &["vendor", "quota"]), "declined");
        let reply = Reply::new(200, "").with_header(
            http::header::RETRY_AFTER,
            http::HeaderValue::from_static("9"),
        );
        let codes = ["vendor".to_owned()];
        let error = decide(&ACME, &reply, Some(false), &codes, blame).unwrap_err();
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(9)));
    }

    #[test]
    fn a_plain_object_is_read_on_200_only() {
        #[derive(Deserialize)]
        struct Answer {
            verified: bool,
        }
        let read = |status| object::<Answer>(&ACME, &Reply::new(status, r#"{"verified":true}"#));
        assert!(read(200).unwrap().verified);
        for status in [201, 302, 400, 401, 403, 429, 500] {
            assert!(read(status).is_err(), "{status}");
        }
    }

    #[test]
    fn a_rejected_request_without_a_known_code_is_ours() {
        assert_eq!(outcome(400, Some(false), &["new"]), "misconfigured");
        assert_eq!(outcome(405, None, &[]), "misconfigured");
        assert_eq!(outcome(400, Some(false), &["visitor"]), "invalid");
    }
}
