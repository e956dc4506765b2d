use std::time::{Duration, SystemTime};

use human_check_core::{
    CheckError, DetailValue, ErrorKind, Facts, Reason, Refusal, ReplayProtection, ReportedAction,
    Score, Verdict,
};
use human_check_http::Reply;
use human_check_http::adapter::{json, page_host, siteverify};
use serde_json::{Map, Value};

use crate::CAPTCHALA;

/// Turns a reply to the validate call into a verdict. See docs/providers/captchala.md#reply.
///
/// `offline` says that the backup service sent it. Only there `data.ok` is read in the place of
/// `data.valid`.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict.
pub(crate) fn judge(reply: &Reply, offline: bool) -> Result<Verdict, CheckError> {
    let envelope = Envelope::read(reply)?;
    let data = &envelope.data;
    let code = envelope.error_code();
    let verdict = match data.get("valid") {
        None | Some(Value::Null) if offline => data.get("ok"),
        verdict => verdict,
    };
    // The flat form of older replies states the verdict as `ok`, which must not disagree.
    let denied = [data.get("ok"), envelope.members.get("ok")]
        .into_iter()
        .any(|ok| ok.is_some_and(|ok| !matches!(ok, Value::Null | Value::Bool(true))));
    if let Some(error) = envelope.operator_or_service_error() {
        return Err(error);
    }
    if envelope.is_degraded() {
        return Err(envelope.error(ErrorKind::Declined, "quota"));
    }
    let valid = match verdict {
        Some(Value::Bool(valid)) => *valid,
        // A reply that reports a failure by its code or its status needs no verdict beside that.
        None | Some(Value::Null) if envelope.code != 0 || reply.is_rejection() => false,
        None | Some(Value::Null) => return Err(envelope.error(ErrorKind::Protocol, "no-verdict")),
        Some(_) => return Err(envelope.error(ErrorKind::Protocol, "unreadable-verdict")),
    };
    if valid && envelope.code == 0 {
        // `valid` contradicts an error beside it, a code of a refusal, and every status but 200.
        let contradicted = envelope.has_error()
            || refusal_reason(&code) != Reason::Other
            || denied
            || reply.status() != 200;
        if contradicted {
            return Err(envelope.error(ErrorKind::Protocol, "success-contradicted"));
        }
        if envelope.is_unverified(offline) {
            let refusal = Refusal::new(Reason::UnverifiableToken);
            return Ok(refusal.with_facts(facts(data, offline)).into());
        }
        return Ok(Verdict::Human(facts(data, offline)));
    }
    let reason = refusal_reason(&code);
    if reply.is_rejection() && reason == Reason::Other {
        return Err(envelope.error(ErrorKind::Misconfigured, "request-rejected"));
    }
    let mut refusal = Refusal::new(reason).with_codes(vec![code]);
    if reason == Reason::WrongSiteKey {
        refusal = refusal.with_alert();
    }
    Ok(refusal.with_facts(facts(data, offline)).into())
}

/// Returns the reason that a code stands for. See docs/providers/captchala.md#error-codes.
fn refusal_reason(code: &str) -> Reason {
    match code {
        "empty_token" => Reason::Missing,
        "invalid_token" | "token_not_found" | "challenge_not_found" | "invalid_answer" => {
            Reason::Invalid
        }
        "site_mismatch" => Reason::WrongSiteKey,
        "token_expired" | "expired" | "challenge_expired" => Reason::Expired,
        "token_consumed" | "token_already_used" | "already_used" => Reason::Replayed,
        "token_action_mismatch" => Reason::WrongAction,
        "token_uid_mismatch" => Reason::WrongBinding,
        "token_ip_mismatch" | "binding_mismatch" => Reason::WrongAddress,
        "service_online" => Reason::UnverifiableToken,
        _ => Reason::Other,
    }
}

/// Reads the facts, from the present nested members and from the older flat ones.
fn facts(data: &Map<String, Value>, offline: bool) -> Facts {
    let args = data.get("captcha_args").and_then(Value::as_object);
    let arg = |name: &str| args.and_then(|args| args.get(name));
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let mut facts = Facts::new(&CAPTCHALA);
    facts.replay_protection = ReplayProtection::Provider;
    facts.action = text(data.get("action")).map(ReportedAction::exact);
    facts.binding = text(data.get("uid"));
    facts.app = text(arg("pkg"));
    facts.hostname = text(arg("referer")).and_then(|page| page_host(&page));
    facts.solved_at = arg("solved_at")
        .and_then(Value::as_u64)
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    facts.score = arg("risk_score")
        .filter(|risk| !risk.is_null())
        .or_else(|| data.get("risk_score"))
        .and_then(Value::as_f64)
        .and_then(|risk| Score::risk(risk, 100.0).ok());
    let details = [
        ("challenge_id", text(data.get("challenge_id"))),
        ("platform", text(arg("platform"))),
        (
            "user_ip",
            text(arg("user_ip")).or_else(|| text(data.get("user_ip"))),
        ),
    ];
    for (name, detail) in details {
        if let Some(detail) = detail {
            facts.details.push((name, DetailValue::Text(detail)));
        }
    }
    if offline {
        facts.details.push(("offline", DetailValue::Flag(true)));
    }
    facts
}

/// Returns whether a member that counts against the visitor is set, in any type.
fn raised(value: Option<&Value>) -> bool {
    value.is_some_and(|v| !matches!(v, Value::Null | Value::Bool(false)) && v.as_str() != Some(""))
}

/// The code of a refusal without a code. The provider's own libraries use the same text.
const UNKNOWN: &str = "unknown_error";

/// The outer object of every CaptchaLa reply. See docs/providers/captchala.md#reply.
pub(crate) struct Envelope<'r> {
    reply: &'r Reply,
    pub(crate) code: i64,
    members: Map<String, Value>,
    /// The member `data`. Empty when it is missing, `null` or an empty array (inferred).
    pub(crate) data: Map<String, Value>,
}

impl<'r> Envelope<'r> {
    /// Reads the outer object.
    ///
    /// # Errors
    ///
    /// [`CheckError`] for a status that decides alone, and when the reply has no integer `code`.
    pub(crate) fn read(reply: &'r Reply) -> Result<Self, CheckError> {
        let members: Map<String, Value> = match siteverify::object_or_rejection(&CAPTCHALA, reply) {
            // 401 and 403 concern the app key and secret, whatever their body is.
            Err(error) if matches!(reply.status(), 401 | 403) => {
                return Err(
                    CheckError::new(ErrorKind::Misconfigured, &CAPTCHALA, "credentials")
                        .with_source(error),
                );
            }
            // A 429 or 5xx decides alone. Its body may hold a code to report.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::RateLimited | ErrorKind::Unavailable
                ) =>
            {
                let members = json::object(reply.body()).unwrap_or_default();
                let code = Self::new(reply, members).error_code();
                let has_code = code != UNKNOWN;
                return Err(if has_code {
                    error.with_codes(vec![code])
                } else {
                    error
                });
            }
            read => read?,
        };
        let is_readable = match members.get("data") {
            None | Some(Value::Null | Value::Object(_)) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        let mut envelope = Self::new(reply, members);
        if !is_readable && !reply.is_rejection() {
            return Err(envelope.error(ErrorKind::Protocol, "unreadable-data"));
        }
        envelope.code = match envelope.members.get("code").and_then(Value::as_i64) {
            Some(code) => code,
            None if reply.is_rejection() => -1,
            None => return Err(envelope.error(ErrorKind::Protocol, "no-verdict")),
        };
        Ok(envelope)
    }

    fn new(reply: &'r Reply, mut members: Map<String, Value>) -> Self {
        let data = match members.remove("data") {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        Self {
            reply,
            code: 0,
            members,
            data,
        }
    }

    fn text(value: Option<&Value>) -> Option<&str> {
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// Returns whether the reply says that the quota is exhausted, at either level and in any type.
    fn is_degraded(&self) -> bool {
        let says = |member: &str| {
            [&self.data, &self.members]
                .iter()
                .any(|level| Self::text(level.get(member)).is_some_and(siteverify::is_quota))
        };
        raised(self.data.get("degraded"))
            || raised(self.members.get("degraded"))
            || ["reason", "error", "msg", "message"]
                .iter()
                .any(|member| says(member))
    }

    /// Returns whether the reply says that the main service did not verify the challenge, at any
    /// level and in any type. The backup service, `offline`, says the first of the two of each
    /// token.
    fn is_unverified(&self, offline: bool) -> bool {
        let args = self.data.get("captcha_args").and_then(Value::as_object);
        let levels = [Some(&self.data), Some(&self.members), args];
        let raises = |name| {
            levels
                .into_iter()
                .flatten()
                .any(|level| raised(level.get(name)))
        };
        (!offline && raises("offline")) || raises("client_only")
    }

    /// Returns whether the reply names an error, at either level.
    fn has_error(&self) -> bool {
        raised(self.data.get("error")) || raised(self.members.get("error"))
    }

    /// Returns the machine code of a failure, from the first member that holds one.
    ///
    /// See docs/providers/captchala.md#reply.
    pub(crate) fn error_code(&self) -> String {
        let is_code = |text: &&str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
                && !matches!(*text, "ok" | "success")
        };
        let member = |name| Self::text(self.members.get(name));
        let degraded = Self::text(self.data.get("reason")).filter(|_| self.is_degraded());
        let code = Self::text(self.data.get("error"))
            .or(degraded)
            .or_else(|| member("error"))
            .or_else(|| member("msg").filter(is_code))
            .or_else(|| member("message").filter(is_code))
            .unwrap_or(UNKNOWN);
        // Shortened like every text of a provider, because it is logged.
        let mut codes = json::Codes::default();
        codes.push(code);
        codes.into_vec().remove(0)
    }

    /// Returns the error for a code or status that concerns the operator or the service and no
    /// visitor.
    pub(crate) fn operator_or_service_error(&self) -> Option<CheckError> {
        let code = self.error_code();
        let (kind, reason) = match code.as_str() {
            "rate_limit_exceeded" => (ErrorKind::RateLimited, "rate-limited"),
            "invalid_app_key" | "invalid_app_secret" | "invalid_credentials" => {
                (ErrorKind::Misconfigured, "credentials")
            }
            "app_disabled" => (ErrorKind::Misconfigured, "app-disabled"),
            _ if matches!(self.reply.status(), 401 | 403) => {
                (ErrorKind::Misconfigured, "credentials")
            }
            _ => return None,
        };
        Some(self.error(kind, reason))
    }

    /// Creates an error with the reply's code and its `Retry-After`.
    pub(crate) fn error(&self, kind: ErrorKind, reason: &'static str) -> CheckError {
        CheckError::new(kind, &CAPTCHALA, reason)
            .with_codes(vec![self.error_code()])
            .with_retry_after(self.reply.retry_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: &str) -> String {
        match judge(&Reply::new(200, body.to_owned()), false) {
            Ok(Verdict::Human(_)) => "human".into(),
            Ok(Verdict::NotHuman(refusal)) => refusal.reason().as_str().into(),
            Err(error) => format!("{} {}", error.kind(), error.reason()),
        }
    }

    #[test]
    fn a_reservation_beside_a_yes_is_refused() {
        assert_eq!(outcome(r#"{"code":0,"data":{"valid":true}}"#), "human");
        for reservation in [
            r#""offline":true"#,
            r#""client_only":true"#,
            r#""offline":1"#,
            r#""client_only":"yes""#,
            r#""offline":{}"#,
        ] {
            let inside = format!(r#"{{"code":0,"data":{{"valid":true,{reservation}}}}}"#);
            assert_eq!(outcome(&inside), "unverifiable-token", "{inside}");
            let outside = format!(r#"{{"code":0,{reservation},"data":{{"valid":true}}}}"#);
            assert_eq!(outcome(&outside), "unverifiable-token", "{outside}");
            let in_args =
                format!(r#"{{"code":0,"data":{{"valid":true,"captcha_args":{{{reservation}}}}}}}"#);
            assert_eq!(outcome(&in_args), "unverifiable-token", "{in_args}");
        }
        let none = r#"{"code":0,"data":{"valid":true,"offline":false,"client_only":null}}"#;
        assert_eq!(outcome(none), "human");
    }

    #[test]
    fn the_backup_service_vouches_for_offline_tokens_and_not_for_client_tokens() {
        let judge = |body: &str| {
            let verdict = judge(&Reply::new(200, body.to_owned()), true);
            verdict.unwrap().is_human()
        };
        assert!(judge(r#"{"code":0,"data":{"valid":true,"offline":true}}"#));
        assert!(!judge(
            r#"{"code":0,"data":{"valid":true,"client_only":true}}"#
        ));
    }

    #[test]
    fn a_quota_is_declined_wherever_it_is_said() {
        for body in [
            r#"{"code":0,"data":{"valid":false,"reason":"quota_exhausted"}}"#,
            r#"{"code":0,"data":{"valid":true,"reason":"quotaExhausted"}}"#,
            r#"{"code":0,"reason":"quota_exhausted","data":{"valid":false}}"#,
            r#"{"code":1,"error":"quota_exceeded","data":null}"#,
            r#"{"code":1,"msg":"quota_exceeded","data":null}"#,
            r#"{"code":0,"msg":"quota_exhausted","data":{"valid":true}}"#,
            r#"{"code":0,"data":{"valid":false,"error":"over_quota"}}"#,
            r#"{"code":0,"degraded":true,"data":{"valid":true}}"#,
        ] {
            assert_eq!(outcome(body), "declined quota", "{body}");
        }
        let typed = r#"{"code":0,"data":{"valid":false,"error":"pt_quota not found"}}"#;
        assert_eq!(outcome(typed), "other");
    }

    #[test]
    fn a_verdict_that_its_older_form_denies_is_a_protocol_error() {
        for body in [
            r#"{"code":0,"data":{"valid":true,"ok":false}}"#,
            r#"{"code":0,"ok":false,"data":{"valid":true}}"#,
            r#"{"code":0,"data":{"valid":true,"ok":"no"}}"#,
        ] {
            assert_eq!(outcome(body), "protocol success-contradicted", "{body}");
        }
        let agreed = r#"{"code":0,"ok":true,"data":{"valid":true,"ok":null}}"#;
        assert_eq!(outcome(agreed), "human");
    }

    #[test]
    fn a_verdict_of_another_type_is_a_protocol_error() {
        for body in [
            r#"{"code":0,"data":{"valid":"true"}}"#,
            r#"{"code":0,"data":{"valid":1}}"#,
            r#"{"code":0,"data":{"valid":{}}}"#,
            r#"{"code":0,"data":[{"valid":true}]}"#,
            r#"{"code":0,"data":"valid"}"#,
            r#"{"code":0,"data":{}}"#,
            r#"{"code":0,"data":[]}"#,
            r#"{"code":0,"data":{"valid":null}}"#,
            r#"{"code":0}"#,
        ] {
            assert!(outcome(body).starts_with("protocol "), "{body}");
        }
        let failed = r#"{"code":1001,"error":"token_expired","data":null}"#;
        assert_eq!(outcome(failed), "expired", "its code says that it failed");
    }
}
