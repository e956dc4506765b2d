//! The dialect that most providers speak: a boolean, and codes that say why not.
//!
//! An adapter says what each code means; who wins when several arrive, and what a status or a
//! missing boolean means, is the same for all and decided here.

use human_check_core::{
    CheckError, ErrorKind, Facts, Provider, Reason, Refusal, TestKeyPolicy, Verdict,
};
use serde::Deserialize;

use crate::Reply;
use crate::adapter::json::{self, Codes};

/// Whose fault a provider's code is.
///
/// When several codes come together, the first of this order wins: a wrong secret must never
/// look like a visitor's failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CodeClass {
    /// Our configuration is wrong. The name says what of it.
    Misconfigured(&'static str),
    /// The provider will not judge, for example because a quota is spent.
    Declined(&'static str),
    /// The provider is in trouble.
    Unavailable(&'static str),
    /// The visitor did not pass, in a way that a wrong configuration causes too, so the owner is told.
    RefusedWithAlert(Reason),
    /// The visitor did not pass.
    Refused(Reason),
    /// A code this library does not know.
    Unknown,
}

impl CodeClass {
    fn rank(self) -> u8 {
        match self {
            Self::Misconfigured(_) => 0,
            Self::Declined(_) => 1,
            Self::Unavailable(_) => 2,
            Self::RefusedWithAlert(_) => 3,
            Self::Refused(_) => 4,
            Self::Unknown => 5,
        }
    }
}

/// An body with a boolean verdict and codes.
pub trait SiteverifyBody {
    /// The verdict member: `None` when it is absent or `null`.
    fn success(&self) -> Option<bool>;
    /// The codes.
    fn codes(&self) -> &Codes;
}

/// Reads a reply: `Ok((body, None))` is a yes, `Ok((body, Some(refusal)))` a no.
///
/// # Errors
///
/// [`CheckError`] when the reply is neither, see [`decide`].
pub fn read<'r, A: SiteverifyBody + Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
    classify: impl Fn(&str) -> CodeClass,
) -> Result<(A, Option<Refusal>), CheckError> {
    let body: A = match object_or_rejection(provider, reply) {
        // A 5xx or 429 is an outage, unless the provider says by a code whose fault it is. It is
        // never a yes.
        Err(outage) if outage.kind() == ErrorKind::Unavailable => {
            return match json::object::<A>(reply.body()) {
                Ok(body) => {
                    let codes = body.codes().as_slice();
                    let refusal = overrule(outage, reply, body.success(), codes, classify)?;
                    Ok((body, Some(refusal)))
                }
                Err(_) => Err(outage),
            };
        }
        read => read?,
    };
    let refusal = decide(
        provider,
        reply,
        body.success(),
        body.codes().as_slice(),
        classify,
    )?;
    Ok((body, refusal))
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
    classify: impl Fn(&str) -> CodeClass,
) -> Result<Refusal, CheckError> {
    let says_more = |code: &String| {
        !matches!(
            classify(code),
            CodeClass::Unknown | CodeClass::Unavailable(_)
        )
    };
    if success == Some(true) || !codes.iter().any(says_more) {
        return Err(outage);
    }
    let provider = outage.provider().clone();
    decide(&provider, reply, Some(false), codes, classify)?.ok_or(outage)
}

/// Reads the body of a 200 as one JSON object, for providers that say all they have to say on 200.
///
/// # Errors
///
/// What [`Reply::check_status`] says, `Misconfigured` for any 4xx, and `Protocol` when the body is
/// no object.
pub fn object<'r, A: Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
) -> Result<A, CheckError> {
    let body = object_or_rejection(provider, reply)?;
    if reply.is_rejection() {
        return Err(CheckError::new(
            ErrorKind::Misconfigured,
            provider,
            "request-rejected",
        ));
    }
    Ok(body)
}

/// Reads the body of a 200 **or 4xx** as one JSON object, for providers that refuse by status.
///
/// The caller sees to it that a 4xx is never a yes, whatever its body says; [`decide`] does.
///
/// # Errors
///
/// What [`Reply::check_status`] says. A body that is no object is `Protocol` on 200 and
/// `Misconfigured` on 4xx, where the provider did not even find our request worth an body.
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
    classify: impl Fn(&str) -> CodeClass,
) -> Result<Option<Refusal>, CheckError> {
    let shown = || codes.iter().take(Codes::MAX).cloned().collect::<Vec<_>>();
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
        .map(|code| classify(code))
        .min_by_key(|classify| classify.rank())
        .unwrap_or(CodeClass::Unknown);
    match (success, worst) {
        (_, CodeClass::Declined(reason)) => error(ErrorKind::Declined, reason),
        (Some(true), _) => error(ErrorKind::Protocol, "success-contradicted"),
        (_, CodeClass::Misconfigured(reason)) => error(ErrorKind::Misconfigured, reason),
        (Some(false), CodeClass::Unavailable(reason)) => error(ErrorKind::Unavailable, reason),
        (Some(false), CodeClass::RefusedWithAlert(reason)) => {
            Ok(Some(Refusal::new(reason).with_codes(shown()).with_alert()))
        }
        (Some(false), CodeClass::Refused(reason)) => {
            Ok(Some(Refusal::new(reason).with_codes(shown())))
        }
        (_, _) if reply.is_rejection() => error(ErrorKind::Misconfigured, "request-rejected"),
        (Some(false), CodeClass::Unknown) => {
            Ok(Some(Refusal::new(Reason::Other).with_codes(shown())))
        }
        (None, _) => error(ErrorKind::Protocol, "no-verdict"),
    }
}

/// Puts facts and decision together, and refuses replies to testing keys that were not allowed.
///
/// Those raise an alert: either the secret is a testing one, or a visitor claims a host that
/// only testing keys report.
pub fn conclude(facts: Facts, refusal: Option<Refusal>, testing: TestKeyPolicy) -> Verdict {
    match refusal {
        Some(refusal) => refusal.with_facts(facts).into(),
        None if facts.test_key && !testing.allowed() => Refusal::new(Reason::TestKey)
            .with_facts(facts)
            .with_alert()
            .into(),
        None => Verdict::Human(facts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: Provider = Provider::new("acme", &[]);

    fn classify(code: &str) -> CodeClass {
        match code {
            "owner" => CodeClass::Misconfigured("secret"),
            "quota" => CodeClass::Declined("quota"),
            "provider" => CodeClass::Unavailable("internal"),
            "suspect" => CodeClass::RefusedWithAlert(Reason::WrongSiteKey),
            "visitor" => CodeClass::Refused(Reason::Invalid),
            _ => CodeClass::Unknown,
        }
    }

    fn outcome(status: u16, success: Option<bool>, codes: &[&str]) -> String {
        let codes: Vec<String> = codes.iter().map(|c| (*c).to_owned()).collect();
        match decide(&ACME, &Reply::new(status, ""), success, &codes, classify) {
            Ok(None) => "human".into(),
            Ok(Some(refusal)) => refusal.reason().as_str().into(),
            Err(error) => error.kind().as_str().into(),
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
                    &["provider"],
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
    fn the_owners_codes_win_then_the_providers_then_the_visitors() {
        assert_eq!(
            outcome(200, Some(false), &["visitor", "owner"]),
            "misconfigured"
        );
        assert_eq!(outcome(400, Some(false), &["owner"]), "misconfigured");
        assert_eq!(
            outcome(200, Some(false), &["visitor", "provider"]),
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
    fn a_quota_comes_before_the_providers_trouble_and_a_wish_to_wait_is_kept() {
        assert_eq!(
            outcome(200, Some(false), &["provider", "quota"]),
            "declined"
        );
        let reply = Reply::new(200, "").with_header(
            http::header::RETRY_AFTER,
            http::HeaderValue::from_static("9"),
        );
        let codes = ["provider".to_owned()];
        let error = decide(&ACME, &reply, Some(false), &codes, classify).unwrap_err();
        assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(9)));
    }

    #[test]
    fn a_plain_object_is_read_on_200_only() {
        #[derive(Deserialize)]
        struct SiteverifyBody {
            verified: bool,
        }
        let read =
            |status| object::<SiteverifyBody>(&ACME, &Reply::new(status, r#"{"verified":true}"#));
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
