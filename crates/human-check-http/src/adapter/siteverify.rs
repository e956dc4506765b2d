//! Readers for siteverify replies, the form that most providers use: a boolean, and codes that say
//! why the token was refused.
//!
//! An adapter states what each code means, as a [`CodeClass`]. What several codes, a status and a
//! missing boolean mean is the same for all providers and implemented here. See
//! docs/providers/siteverify.md#rules-for-every-siteverify-reply.

use human_check_core::{
    CheckError, ErrorKind, Facts, Provider, Reason, Refusal, TestKeyPolicy, Verdict,
};
use serde::Deserialize;

use crate::Reply;
use crate::adapter::json::{self, Codes};

/// What a provider's code means.
///
/// If a reply has several codes, the class that is first in this list decides: a wrong secret must
/// never look like a failure of the visitor.
///
/// ```
/// use human_check_core::Reason;
/// use human_check_http::adapter::siteverify::CodeClass;
///
/// fn classify(code: &str) -> CodeClass {
///     match code {
///         "invalid-input-secret" => CodeClass::Misconfigured("secret"),
///         "timeout-or-duplicate" => CodeClass::Refused(Reason::ExpiredOrReplayed),
///         _ => CodeClass::Unknown,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CodeClass {
    /// The configuration is wrong. The text is the reason of the error, such as `secret`.
    Misconfigured(&'static str),
    /// The provider declined to verify, such as beyond a quota. The text is the reason of the
    /// error.
    Declined(&'static str),
    /// The provider reports an outage. The text is the reason of the error.
    ///
    /// Only for codes that no visitor can cause, because a route may fail open on an outage.
    Unavailable(&'static str),
    /// The visitor did not pass. A wrong configuration may be the cause, so the refusal is an
    /// alert.
    RefusedWithAlert(Reason),
    /// The visitor did not pass.
    Refused(Reason),
    /// The adapter does not know the code.
    Unknown,
}

impl CodeClass {
    /// Returns the place in the order of severity. The lowest decides.
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

/// The body of a reply with a boolean verdict and codes. [`read`] reads it.
pub trait SiteverifyBody {
    /// Returns the verdict. `None` if the member is absent or `null`.
    fn success(&self) -> Option<bool>;
    /// Returns the codes.
    fn codes(&self) -> &Codes;
}

/// Reads a siteverify reply, and decides what it means.
///
/// `Ok((body, None))` means that the provider vouches for the visitor, and
/// `Ok((body, Some(refusal)))` that it refuses.
///
/// ```
/// use human_check_core::{CheckError, Provider, Reason};
/// use human_check_http::Reply;
/// use human_check_http::adapter::json::Codes;
/// use human_check_http::adapter::siteverify::{self, CodeClass, SiteverifyBody};
/// use serde::Deserialize;
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
///
/// #[derive(Deserialize)]
/// struct AcmeReply {
///     success: Option<bool>,
///     #[serde(default)]
///     codes: Codes,
/// }
///
/// impl SiteverifyBody for AcmeReply {
///     fn success(&self) -> Option<bool> {
///         self.success
///     }
///
///     fn codes(&self) -> &Codes {
///         &self.codes
///     }
/// }
///
/// let reply = Reply::new(200, r#"{"success":false,"codes":["bad-token"]}"#);
/// let (_, refusal) = siteverify::read::<AcmeReply>(&ACME, &reply, |code| match code {
///     "bad-token" => CodeClass::Refused(Reason::Invalid),
///     _ => CodeClass::Unknown,
/// })?;
/// assert_eq!(refusal.unwrap().reason(), Reason::Invalid);
/// # Ok::<(), CheckError>(())
/// ```
///
/// # Errors
///
/// [`CheckError`] if the reply has no verdict; see [`decide`] and [`Reply::check_status`].
pub fn read<'r, B: SiteverifyBody + Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
    classify: impl Fn(&str) -> CodeClass,
) -> Result<(B, Option<Refusal>), CheckError> {
    let body: B = match object_or_rejection(provider, reply) {
        // A 408, 429 or 5xx is no verdict, unless a code gives another cause. It is never a yes.
        Err(outage)
            if matches!(
                outage.kind(),
                ErrorKind::RateLimited | ErrorKind::Unavailable
            ) =>
        {
            return match json::object::<B>(reply.body()) {
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

/// Decides what a 408, 429 or 5xx means if its body has codes.
///
/// A known code that means something else than an outage decides, and otherwise `outage` is
/// returned. The result is never a yes. [`read`] calls it; an adapter needs it only if it does not
/// use [`read`].
///
/// # Errors
///
/// `outage`, or the error of [`decide`].
pub fn overrule(
    outage: CheckError,
    reply: &Reply,
    success: Option<bool>,
    codes: &[String],
    classify: impl Fn(&str) -> CodeClass,
) -> Result<Refusal, CheckError> {
    let decides = |code: &String| {
        !matches!(
            classify_or_quota(code, &classify),
            CodeClass::Unknown | CodeClass::Unavailable(_)
        )
    };
    if success == Some(true) || !codes.iter().any(decides) {
        return Err(outage);
    }
    let provider = outage.provider().clone();
    decide(&provider, reply, Some(false), codes, classify)?.ok_or(outage)
}

/// Reads the body of a 200 as one JSON object.
///
/// For providers that refuse with status 200 and without a boolean verdict.
///
/// # Errors
///
/// That of [`Reply::check_status`], [`ErrorKind::Misconfigured`] for every other 4xx, and
/// [`ErrorKind::Protocol`] if the body of a 200 is not one JSON object; see [`json::object`].
pub fn object<'r, B: Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
) -> Result<B, CheckError> {
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

/// Reads the body of a 200 **or a 4xx** as one JSON object.
///
/// For providers that refuse by status. The caller must never make a yes of a 4xx, whatever its
/// body says. [`decide`] does not.
///
/// # Errors
///
/// That of [`Reply::check_status`]. A body that is not one JSON object is [`ErrorKind::Protocol`]
/// with status 200, and [`ErrorKind::Misconfigured`] with a 4xx, because the provider rejected the
/// request as a whole.
pub fn object_or_rejection<'r, B: Deserialize<'r>>(
    provider: &Provider,
    reply: &'r Reply,
) -> Result<B, CheckError> {
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

/// Decides what a verdict with codes means: a yes (`Ok(None)`), a refusal, or no verdict (an
/// error).
///
/// Only the literal `true` with status 200 and without any code is a yes.
///
/// # Errors
///
/// - [`ErrorKind::Misconfigured`] if a code means that, or the status is 4xx and no code is known.
/// - [`ErrorKind::Declined`] or [`ErrorKind::Unavailable`] if a code means that. An unknown code
///   that says that a quota is exhausted is `Declined`, too; see [`is_quota`].
/// - [`ErrorKind::Protocol`] if a success contradicts its status or its codes, or the verdict is
///   missing.
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
        .map(|code| classify_or_quota(code, &classify))
        .min_by_key(|class| class.rank())
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

/// Returns the class of a code. A code that the adapter does not know and that says that a quota is
/// exhausted means that the provider declined to verify, however it is spelled.
fn classify_or_quota(code: &str, classify: impl Fn(&str) -> CodeClass) -> CodeClass {
    match classify(code) {
        CodeClass::Unknown if is_quota(code) => CodeClass::Declined("quota"),
        class => class,
    }
}

/// Returns whether a code says that a quota is exhausted, in any spelling, such as `over-quota` and
/// `quotaExceeded`.
///
/// A text with another word than such codes have says no: it may repeat what a visitor typed, and a
/// visitor must not choose [`ErrorKind::Declined`].
///
/// ```
/// use human_check_http::adapter::siteverify::is_quota;
///
/// assert!(is_quota("Over free-quota!"));
/// assert!(!is_quota("invalid token over-quota"));
/// ```
pub fn is_quota(code: &str) -> bool {
    const WORDS: [&str; 34] = [
        "account",
        "api",
        "been",
        "daily",
        "enterprise",
        "exceed",
        "exceeded",
        "exhausted",
        "free",
        "has",
        "have",
        "hourly",
        "insufficient",
        "is",
        "left",
        "limit",
        "monthly",
        "no",
        "of",
        "out",
        "over",
        "overquota",
        "plan",
        "quota",
        "quotas",
        "reached",
        "site",
        "the",
        "tier",
        "up",
        "usage",
        "used",
        "you",
        "your",
    ];
    // Google's own text goes on with a request to the operator.
    let code = code.split_once(". Please").map_or(code, |(said, _)| said);
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in code.chars() {
        let starts_word = after_lower && letter.is_ascii_uppercase();
        if starts_word || !letter.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(letter.to_ascii_lowercase());
        }
        after_lower = letter.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words.iter().any(|word| word.contains("quota"))
        && words.iter().all(|word| WORDS.contains(&word.as_str()))
}

/// Returns the verdict of a reply: `refusal` with the facts, or a human verdict.
///
/// A human verdict whose facts are marked with [`Facts::test_key`] is refused as
/// [`Reason::TestKey`], with an alert, unless `test_keys` allows them. Either the secret is a test
/// secret, or a visitor claims a host that only test keys report.
pub fn conclude(facts: Facts, refusal: Option<Refusal>, test_keys: TestKeyPolicy) -> Verdict {
    match refusal {
        Some(refusal) => refusal.with_facts(facts).into(),
        None if facts.test_key && !test_keys.allowed() => Refusal::new(Reason::TestKey)
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
            "operator" => CodeClass::Misconfigured("secret"),
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
                    &["operator"],
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
    fn the_operators_codes_decide_then_the_providers_then_the_visitors() {
        assert_eq!(
            outcome(200, Some(false), &["visitor", "operator"]),
            "misconfigured"
        );
        assert_eq!(outcome(400, Some(false), &["operator"]), "misconfigured");
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
        assert_eq!(outcome(200, None, &["operator"]), "misconfigured");
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
    fn a_quota_is_recognised_in_every_spelling() {
        for code in [
            "over-free-quota",
            "Over free-quota!",
            "Over free quota.",
            "Over Enterprise free quota. Please ensure your project has an active billing account",
            "OVER_QUOTA",
            "quota-exceeded",
            "quotaExceeded",
            "insufficient_quota",
            "You have exceeded your quota",
            "your quota has been used up",
            "no quota left",
            "overquota",
        ] {
            for success in [Some(true), Some(false), None] {
                assert_eq!(outcome(200, success, &[code]), "declined", "{code}");
            }
        }
    }

    #[test]
    fn a_code_that_repeats_a_typed_text_is_no_quota() {
        for code in [
            "invalid token over-quota",
            "bad-token:quota",
            "token quota not found",
            "quota4",
            "q\u{fc}ota quota",
            "no-quotas-here",
            "error:over-quota",
            "request over quota",
            "over",
            "limit-reached",
        ] {
            assert_eq!(outcome(200, Some(false), &[code]), "other", "{code}");
        }
    }

    #[test]
    fn a_quota_comes_before_an_outage_and_retry_after_is_kept() {
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
    fn a_rejected_request_without_a_known_code_is_misconfigured() {
        assert_eq!(outcome(400, Some(false), &["new"]), "misconfigured");
        assert_eq!(outcome(405, None, &[]), "misconfigured");
        assert_eq!(outcome(400, Some(false), &["visitor"]), "invalid");
    }
}
