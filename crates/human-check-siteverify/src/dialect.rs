use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, EvidenceKind, FactKind, Facts, Hostname,
    Provider, Reason, ReplayProtection, ReportedAction, Score, Secret, Submission, TestKeyPolicy,
    Verdict,
};
use serde_json::{Map, Value};

use human_check_http::adapter::json::{self, Codes};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{FormBody, TokenFormat, page_host, timestamp};
use human_check_http::{Endpoint, Reply, Request};

type Name = Cow<'static, str>;

/// A description of one provider's siteverify call: where the request and the reply hold what.
///
/// Start from [`Dialect::new`], which describes the call of reCAPTCHA v2, and change what differs.
/// Or use a preset: [`cap`](Self::cap), [`captchafox`](Self::captchafox),
/// [`friendly_captcha`](Self::friendly_captcha), [`mcaptcha`](Self::mcaptcha). Members of the reply
/// are paths with dots, such as `data.challenge.origin`.
///
/// A reply is a human when the success member is the literal `true`, the status is 200 and there is
/// no code. A 200 without the success member is a protocol error. A code without a rule refuses.
///
/// ```
/// use human_check_core::{ConfigError, Provider, Reason};
/// use human_check_http::Endpoint;
/// use human_check_http::adapter::siteverify::CodeClass;
/// use human_check_siteverify::{Dialect, ScoreScale};
///
/// static ACME: Provider = Provider::new("acme", &["acme-token"]);
///
/// let dialect = Dialect::new(ACME.clone(), Endpoint::parse("https://acme.example/siteverify")?)
///     .with_json_body()
///     .with_token_member("token")
///     .with_success_at("data.valid")
///     .with_score_at("data.risk", ScoreScale::Risk(1.0))
///     .with_code("token-used", CodeClass::Refused(Reason::Replayed));
/// assert_eq!(dialect.provider(), &ACME);
/// # Ok::<(), ConfigError>(())
/// ```
///
/// See docs/providers/siteverify.md#dialects.
#[derive(Clone, Debug)]
#[must_use]
pub struct Dialect {
    pub(crate) provider: Provider,
    pub(crate) endpoint: Endpoint,
    pub(crate) json: bool,
    pub(crate) secret_header: Option<HeaderName>,
    pub(crate) secret: Name,
    pub(crate) test_secrets: &'static [&'static str],
    pub(crate) token: Name,
    pub(crate) token_format: TokenFormat,
    pub(crate) client_ip: Option<Name>,
    pub(crate) constants: Vec<(Name, String)>,
    pub(crate) success: Name,
    pub(crate) success_text: Option<Name>,
    pub(crate) codes: Name,
    pub(crate) ignored_codes: Vec<Name>,
    pub(crate) hostname: Option<Name>,
    pub(crate) action: Option<Name>,
    pub(crate) solved_at: Option<Name>,
    pub(crate) score: Option<(Name, ScoreScale)>,
    pub(crate) rules: Vec<(Option<u16>, Option<Name>, CodeClass)>,
    pub(crate) unsolved_prefix: Option<char>,
    pub(crate) evidence: EvidenceKind,
}

/// The direction and the range of a provider's score, for [`Dialect::with_score_at`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScoreScale {
    /// From 0 (bot) to 1 (human).
    Humanity,
    /// From 0 (human) to this number (bot). It must be finite and above zero.
    Risk(f64),
}

impl Dialect {
    /// Creates a dialect like reCAPTCHA v2: a form of `secret`, `response` and `remoteip`, and a
    /// JSON reply of `success`, `error-codes`, `hostname` and `challenge_ts`.
    ///
    /// It knows the codes of reCAPTCHA v2, such as `invalid-input-secret`. `endpoint` is the full
    /// URL of the call.
    ///
    /// See docs/providers/siteverify.md#error-codes.
    pub fn new(provider: Provider, endpoint: Endpoint) -> Self {
        Self {
            provider,
            endpoint,
            json: false,
            secret_header: None,
            secret: "secret".into(),
            test_secrets: &[],
            token: "response".into(),
            token_format: TokenFormat::new(8_192),
            client_ip: Some("remoteip".into()),
            constants: Vec::new(),
            success: "success".into(),
            success_text: None,
            codes: "error-codes".into(),
            ignored_codes: Vec::new(),
            hostname: Some("hostname".into()),
            action: None,
            solved_at: Some("challenge_ts".into()),
            score: None,
            rules: Vec::new(),
            unsolved_prefix: None,
            evidence: EvidenceKind::Unstated,
        }
        .with_code("missing-input-secret", CodeClass::Misconfigured("secret"))
        .with_code("invalid-input-secret", CodeClass::Misconfigured("secret"))
        .with_code("bad-request", CodeClass::Misconfigured("request"))
        .with_code(
            "missing-input-response",
            CodeClass::Refused(Reason::Missing),
        )
        .with_code(
            "invalid-input-response",
            CodeClass::Refused(Reason::Invalid),
        )
        .with_code(
            "timeout-or-duplicate",
            CodeClass::Refused(Reason::ExpiredOrReplayed),
        )
    }

    /// Sets the names of the form fields that may hold the token, for pages that post it under
    /// another name. Default: those of the provider, which the given names replace.
    pub fn with_form_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Sets the body of the request to JSON. Default: a form.
    pub fn with_json_body(mut self) -> Self {
        self.json = true;
        self
    }

    /// Sets the header that carries the secret. Default: the secret is a member of the body.
    pub fn with_secret_header(mut self, name: HeaderName) -> Self {
        self.secret_header = Some(name);
        self
    }

    /// Sets the name of the member that holds the secret. Default: `secret`.
    pub fn with_secret_member(mut self, name: impl Into<Name>) -> Self {
        self.secret = name.into();
        self
    }

    /// Sets the name of the member that holds the token. Default: `response`.
    pub fn with_token_member(mut self, name: impl Into<Name>) -> Self {
        self.token = name.into();
        self
    }

    /// Sets what tokens look like. A text of another form is refused without a call. Default: up to
    /// 8,192 bytes of the characters of [`TokenFormat::new`].
    pub fn with_token_format(mut self, format: TokenFormat) -> Self {
        self.token_format = format;
        self
    }

    /// Sets the name of the member that holds the visitor's address, or `None` to leave the address
    /// out. Default: `remoteip`. It is sent when the submission has a client address.
    pub fn with_client_ip_member(mut self, name: Option<&'static str>) -> Self {
        self.client_ip = name.map(Into::into);
        self
    }

    /// Adds a member to every request, such as the site key. Default: none.
    pub fn with_constant(mut self, name: impl Into<Name>, value: impl Into<String>) -> Self {
        self.constants.push((name.into(), value.into()));
        self
    }

    /// Sets the path of the member that holds the verdict. Default: `success`.
    ///
    /// On a 200 the member must be a boolean. Another type, or none, is a protocol error.
    pub fn with_success_at(mut self, path: impl Into<Name>) -> Self {
        self.success = path.into();
        self
    }

    /// Sets the text with which the success member says yes, for a reply such as
    /// `{"status":"ok"}`. Default: the member is a boolean.
    ///
    /// Any other text says no. A value that is not text is a protocol error. If the codes are in the
    /// same member, this text is none of them.
    pub fn with_success_text(mut self, text: impl Into<Name>) -> Self {
        self.success_text = Some(text.into());
        self
    }

    /// Adds a text in the place of codes that is no code, such as `ok`. Default: none.
    pub fn with_ignored_code(mut self, code: impl Into<Name>) -> Self {
        self.ignored_codes.push(code.into());
        self
    }

    /// Sets the path of the member that holds the code or the codes. Default: `error-codes`.
    ///
    /// An error of another shape in that place counts as an unknown code.
    pub fn with_codes_at(mut self, path: impl Into<Name>) -> Self {
        self.codes = path.into();
        self
    }

    /// Sets the path of the member that holds the host, or `None` to read none. Default:
    /// `hostname`.
    ///
    /// The member may be a host, or an origin such as `https://example.com`.
    pub fn with_hostname_at(mut self, path: Option<&'static str>) -> Self {
        self.hostname = path.map(Into::into);
        self
    }

    /// Sets the path of the member that holds the time of solving, or `None` to read none. Default:
    /// `challenge_ts`.
    ///
    /// The member may be a text in RFC 3339, or a number of Unix seconds or milliseconds.
    pub fn with_solved_at(mut self, path: Option<&'static str>) -> Self {
        self.solved_at = path.map(Into::into);
        self
    }

    /// Sets the path of the member that holds the action. Default: no action is read. Actions are
    /// compared exactly.
    pub fn with_action_at(mut self, path: impl Into<Name>) -> Self {
        self.action = Some(path.into());
        self
    }

    /// Sets the path of the member that holds the score, and its scale. Default: no score is read.
    ///
    /// The score becomes a fact.
    /// [`Policy::with_min_score`](human_check_core::Policy::with_min_score) sets a threshold.
    pub fn with_score_at(mut self, path: impl Into<Name>, scale: ScoreScale) -> Self {
        self.score = Some((path.into(), scale));
        self
    }

    /// Adds a rule: what a code means, with any status.
    ///
    /// A code without a rule refuses with [`Reason::Other`]. When several rules match, the last one
    /// counts, so a rule can replace one of [`new`](Self::new) or of a preset.
    pub fn with_code(mut self, code: impl Into<Name>, class: CodeClass) -> Self {
        self.rules.push((None, Some(code.into()), class));
        self
    }

    /// Adds a rule: what a code means in a reply of this status. With `None`, the rule is for every
    /// reply of this status, with or without a code.
    ///
    /// When several rules match, the last one counts.
    pub fn with_status(
        mut self,
        status: u16,
        code: Option<&'static str>,
        class: CodeClass,
    ) -> Self {
        self.rules.push((Some(status), code.map(Into::into), class));
        self
    }

    /// Sets the first character of tokens that stand for an unsolved challenge. Default: none.
    ///
    /// Some widgets fill their field with a state, such as `.UNSTARTED`, until the visitor has
    /// solved the challenge. The check refuses such a token as `missing`, without a call.
    pub fn with_unsolved_prefix(mut self, prefix: char) -> Self {
        self.unsolved_prefix = Some(prefix);
        self
    }

    /// Sets the kind of evidence that a human verdict states. Default: [`EvidenceKind::Unstated`].
    pub fn with_evidence_kind(mut self, evidence: EvidenceKind) -> Self {
        self.evidence = evidence;
        self
    }

    /// Sets the secrets that the provider publishes for tests. Default: none.
    pub(crate) fn with_test_secrets(mut self, secrets: &'static [&'static str]) -> Self {
        self.test_secrets = secrets;
        self
    }

    /// Returns the provider that this dialect is for.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Builds the request for a token.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is sent in a header and holds characters that no header may
    /// hold.
    pub(crate) fn build(
        &self,
        secret: &Secret,
        token: &str,
        submission: &Submission,
    ) -> Result<Request, ConfigError> {
        let ip = self.client_ip.as_ref().zip(submission.client_ip());
        let ip = ip.map(|(name, ip)| (name, ip.to_string()));
        let secret_member = self
            .secret_header
            .is_none()
            .then_some((&self.secret, secret.expose()));
        let members = secret_member
            .into_iter()
            .chain([(&self.token, token)])
            .chain(
                self.constants
                    .iter()
                    .map(|(name, value)| (name, value.as_str())),
            )
            .chain(ip.iter().map(|(name, ip)| (*name, ip.as_str())));
        let request = if self.json {
            let members: Map<String, Value> = members
                .map(|(name, value)| (name.clone().into_owned(), value.into()))
                .collect();
            Request::json(&self.endpoint, &members.into())
        } else {
            let body = FormBody::with_capacity(token.len() + 256);
            Request::form(
                &self.endpoint,
                members.fold(body, |body, (name, value)| body.pair(name, value)),
            )
        };
        match &self.secret_header {
            None => Ok(request),
            Some(name) => {
                let value: HeaderValue = Request::header_value("secret", secret.expose())?;
                Ok(request.with_secret_header(name.clone(), value))
            }
        }
    }

    /// Turns a reply into a verdict. See
    /// docs/providers/siteverify.md#rules-for-every-siteverify-reply.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the reply holds no verdict.
    pub(crate) fn judge(&self, reply: &Reply) -> Result<Verdict, CheckError> {
        let (body, outage) = match siteverify::object_or_rejection(&self.provider, reply) {
            Ok(body) => (body, None),
            // A rule for the status may match a 4xx without readable JSON. A code in the body of a
            // 5xx may show that it is no outage.
            Err(error) if reply.is_rejection() && error.reason() == "request-rejected" => {
                (Value::Null, None)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::RateLimited | ErrorKind::Unavailable
                ) =>
            {
                let body = json::object(reply.body()).unwrap_or_default();
                (body, Some(error))
            }
            Err(error) => return Err(error),
        };
        let codes = self.codes(&body, reply);
        let codes = codes.as_slice();
        let success = match (at(&body, &self.success), &self.success_text) {
            (Some(Value::Bool(success)), None) => Some(*success),
            (Some(Value::String(text)), Some(yes)) => Some(text == yes),
            (None, _) if reply.is_rejection() => Some(false),
            _ => None,
        };
        let classify = |code: &str| self.classify(reply.status(), code);
        let refusal = match outage {
            Some(outage) => Some(siteverify::overrule(
                outage, reply, success, codes, classify,
            )?),
            None => siteverify::decide(&self.provider, reply, success, codes, classify)?,
        };
        let facts = self.facts(&body);
        Ok(siteverify::conclude(facts, refusal, TestKeyPolicy::Refused))
    }

    /// Returns the codes of a reply, at least one when the reply says that something is wrong.
    fn codes(&self, body: &Value, reply: &Reply) -> Codes {
        let mut all = Codes::default();
        if let Some(stated) = at(body, &self.codes) {
            all = serde::Deserialize::deserialize(numbers_as_text(stated)).unwrap_or_default();
        }
        // Where one member holds verdict and codes, its yes is no code.
        let yes = self
            .success_text
            .iter()
            .filter(|_| self.codes == self.success);
        let ignored: Vec<_> = self.ignored_codes.iter().chain(yes).collect();
        let is_ignored = |code: &String| ignored.iter().any(|known| *known == code);
        let mut codes = Codes::default();
        for code in all.as_slice().iter().filter(|code| !is_ignored(code)) {
            codes.push(code);
        }
        // An error of another shape than the provider documents must not be lost.
        let error = at(body, self.error_path());
        if all.as_slice().is_empty() && error.is_some_and(is_stated) {
            codes.push(Codes::UNREADABLE);
        }
        if codes.as_slice().is_empty() && reply.is_rejection() {
            codes.push(&format!("http-{}", reply.status()));
        }
        codes
    }

    /// Returns the path of the outermost member that is there for the codes alone, such as
    /// `data.error` for codes at `data.error.code` beside a verdict at `data.valid`.
    fn error_path(&self) -> &str {
        let facts = [&self.hostname, &self.action, &self.solved_at];
        let score = self.score.iter().map(|(path, _)| path);
        let others = facts
            .into_iter()
            .flatten()
            .chain(score)
            .chain([&self.success]);
        let codes = || self.codes.split('.');
        let shared = others
            .map(|path| {
                codes()
                    .zip(path.split('.'))
                    .take_while(|(a, b)| a == b)
                    .count()
            })
            .max()
            .unwrap_or_default();
        let length: usize = codes()
            .take(shared + 1)
            .map(|member| member.len() + 1)
            .sum();
        &self.codes[..length - 1]
    }

    fn classify(&self, status: u16, code: &str) -> CodeClass {
        // The last rule counts, so that a caller's rule replaces one of a preset.
        self.rules
            .iter()
            .rev()
            .find(|(for_status, for_code, _)| {
                for_status.is_none_or(|expected| expected == status)
                    && for_code.as_ref().is_none_or(|expected| expected == code)
            })
            .map_or(CodeClass::Unknown, |(_, _, class)| *class)
    }

    fn facts(&self, body: &Value) -> Facts {
        let read = |path: &Option<Name>| path.as_ref().and_then(|path| at(body, path));
        let text = |path| read(path).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut facts = Facts::new(&self.provider);
        // Some providers report an origin, which is a scheme and a host.
        facts.hostname = text(&self.hostname).and_then(|host| match host.contains("://") {
            true => page_host(host),
            false => Hostname::parse(host),
        });
        facts.action = text(&self.action).map(ReportedAction::exact);
        facts.solved_at = match read(&self.solved_at) {
            Some(Value::String(text)) => timestamp(text),
            Some(Value::Number(seconds)) => seconds.as_u64().and_then(from_unix),
            _ => None,
        };
        facts.score = self.score.as_ref().and_then(|(path, scale)| {
            let raw = at(body, path)?.as_f64()?;
            match scale {
                ScoreScale::Humanity => Score::humanity(raw).ok(),
                ScoreScale::Risk(max) => Score::risk(raw, *max).ok(),
            }
        });
        facts.evidence = self.evidence;
        facts.replay_protection = ReplayProtection::Provider;
        facts
    }

    /// Returns the facts that the dialect reads. None of them is always in a reply.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::nothing();
        for (read, fact) in [
            (self.hostname.is_some(), FactKind::Hostname),
            (self.action.is_some(), FactKind::Action),
            (self.solved_at.is_some(), FactKind::SolvedAt),
            (self.score.is_some(), FactKind::Score),
        ] {
            if read {
                capabilities = capabilities.sometimes(fact);
            }
        }
        capabilities
    }
}

/// Returns the member at a path with dots, or `None` where it is missing or `null`.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(value, |value, member| value.get(member))
        .filter(|value| !value.is_null())
}

/// Returns codes that are numbers as text, as the rules of a dialect name them.
fn numbers_as_text(codes: &Value) -> Value {
    match codes {
        Value::Number(code) => code.to_string().into(),
        Value::Array(codes) => codes.iter().map(numbers_as_text).collect(),
        other => other.clone(),
    }
}

/// Returns whether a value in the place of an error says that there is one.
fn is_stated(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => members.values().any(|member| !member.is_null()),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn from_unix(seconds: u64) -> Option<std::time::SystemTime> {
    // A number this large is milliseconds: as seconds it would be after the year 5000.
    let seconds = if seconds > 100_000_000_000 {
        seconds / 1_000
    } else {
        seconds
    };
    std::time::SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
