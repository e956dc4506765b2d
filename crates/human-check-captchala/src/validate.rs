use std::time::{Duration, SystemTime};

use human_check_core::{
    CheckError, DetailValue, ErrorKind, Facts, Hostname, Reason, Refusal, ReplayProtection,
    ReportedAction, Score, Verdict,
};
use human_check_http::Reply;
use human_check_http::adapter::{json, siteverify};
use serde_json::{Map, Value};
use url::Url;

use crate::CAPTCHALA;

/// What a reply to validate means (sections 4.2 to 4.4).
///
/// `offline` says that it came from the backup service, the only one where `ok` stands for `valid`.
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
pub(crate) fn judge(reply: &Reply, offline: bool) -> Result<Verdict, CheckError> {
    let envelope = Envelope::read(reply)?;
    let data = &envelope.data;
    let code = envelope.error_code();
    let valid = match data.get("valid") {
        Some(Value::Bool(valid)) => *valid,
        None | Some(Value::Null) => offline && data.get("ok") == Some(&Value::Bool(true)),
        Some(_) => false,
    };
    if let Some(error) = envelope.owner_error() {
        return Err(error);
    }
    if envelope.is_degraded() {
        return Err(envelope.error(ErrorKind::Declined, "quota"));
    }
    if valid && envelope.code == 0 {
        // An error beside a yes is a contradiction, and so is a yes on a status of no.
        let spoken = refusal_reason(&code) != Reason::Other;
        if envelope.has_error() || spoken || reply.status() != 200 {
            return Err(envelope.error(ErrorKind::Protocol, "success-contradicted"));
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

/// Section 10.1.
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

/// Section 4.2, the present nested shape and the older flat one.
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
    facts.hostname = text(arg("referer"))
        .and_then(|page| Url::parse(&page).ok())
        .and_then(|page| Hostname::parse(page.host_str()?));
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

/// Whether a member that counts against an body is there, in whatever type.
fn raised(value: Option<&Value>) -> bool {
    value.is_some_and(|v| !matches!(v, Value::Null | Value::Bool(false)) && v.as_str() != Some(""))
}

/// Stands for a refusal without a code, as in the provider's own libraries (section 10.1).
const UNKNOWN: &str = "unknown_error";

/// What every CaptchaLa reply is wrapped in (section 3.1).
pub(crate) struct Envelope<'r> {
    reply: &'r Reply,
    pub(crate) code: i64,
    members: Map<String, Value>,
    /// Empty when the provider sent none, `null`, or the `[]` that its back end prints for none.
    pub(crate) data: Map<String, Value>,
}

impl<'r> Envelope<'r> {
    pub(crate) fn read(reply: &'r Reply) -> Result<Self, CheckError> {
        let members: Map<String, Value> = match siteverify::object_or_rejection(&CAPTCHALA, reply) {
            // 401 and 403 are about our credentials, whatever their body.
            Err(error) if matches!(reply.status(), 401 | 403) => {
                return Err(
                    CheckError::new(ErrorKind::Misconfigured, &CAPTCHALA, "credentials")
                        .with_source(error),
                );
            }
            // A 429 or 5xx decides by itself, but may say why.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let members = json::object(reply.body()).unwrap_or_default();
                let code = Self::new(reply, members).error_code();
                let told = code != UNKNOWN;
                return Err(if told {
                    error.with_codes(vec![code])
                } else {
                    error
                });
            }
            read => read?,
        };
        let mut envelope = Self::new(reply, members);
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

    /// Whether it says that the quota is spent, at either level and however it is typed.
    fn is_degraded(&self) -> bool {
        let reason = Self::text(self.data.get("reason"));
        raised(self.data.get("degraded"))
            || raised(self.members.get("degraded"))
            || reason == Some("quota_exhausted")
    }

    fn has_error(&self) -> bool {
        raised(self.data.get("error")) || raised(self.members.get("error"))
    }

    /// The machine code, wherever it stands (section 4.3).
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
        // Cut like every provider's text, since it ends in logs.
        let mut codes = json::Codes::default();
        codes.push(code);
        codes.into_vec().remove(0)
    }

    /// The codes and statuses that are about us or the service, not about a visitor.
    pub(crate) fn owner_error(&self) -> Option<CheckError> {
        let code = self.error_code();
        let (kind, reason) = match code.as_str() {
            "rate_limit_exceeded" => (ErrorKind::Unavailable, "rate-limited"),
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

    pub(crate) fn error(&self, kind: ErrorKind, reason: &'static str) -> CheckError {
        CheckError::new(kind, &CAPTCHALA, reason)
            .with_codes(vec![self.error_code()])
            .with_retry_after(self.reply.retry_after())
    }
}
