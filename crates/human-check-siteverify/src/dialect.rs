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
use human_check_http::adapter::{FormBody, timestamp};
use human_check_http::{Endpoint, Reply, Request};

type Name = Cow<'static, str>;

/// How one provider spells the siteverify call.
///
/// Start from [`Dialect::new`], which speaks reCAPTCHA v2, and change what differs; or take a
/// preset. Members of the reply are given as paths with dots, such as `data.challenge.origin`.
///
/// A reply is a yes when the success member is the literal `true` on status 200 and no code
/// stands beside it; a 200 without that member is a protocol error, and everything that the
/// provider's codes do not explain refuses.
#[derive(Clone, Debug)]
#[must_use]
pub struct Dialect {
    pub(crate) provider: Provider,
    pub(crate) endpoint: Endpoint,
    pub(crate) json: bool,
    pub(crate) secret_header: Option<HeaderName>,
    pub(crate) secret: Name,
    pub(crate) token: Name,
    pub(crate) client_ip: Option<Name>,
    pub(crate) constants: Vec<(Name, String)>,
    pub(crate) success: Name,
    pub(crate) codes: Name,
    pub(crate) hostname: Option<Name>,
    pub(crate) action: Option<Name>,
    pub(crate) solved_at: Option<Name>,
    pub(crate) score: Option<(Name, ScoreScale)>,
    pub(crate) rules: Vec<(Option<u16>, Option<Name>, CodeClass)>,
    pub(crate) unanswered: Option<char>,
    pub(crate) assurance: EvidenceKind,
}

/// Which way a provider's score counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreScale {
    /// From 0 (machine) to 1 (human).
    Humanity,
    /// From 0 (human) to this number (machine).
    Risk(f64),
}

impl Dialect {
    /// A form-encoded `secret`, `response` and `remoteip`, answered by `success`, `error-codes`,
    /// `hostname` and `challenge_ts`.
    pub fn new(provider: Provider, endpoint: Endpoint) -> Self {
        Self {
            provider,
            endpoint,
            json: false,
            secret_header: None,
            secret: "secret".into(),
            token: "response".into(),
            client_ip: Some("remoteip".into()),
            constants: Vec::new(),
            success: "success".into(),
            codes: "error-codes".into(),
            hostname: Some("hostname".into()),
            action: None,
            solved_at: Some("challenge_ts".into()),
            score: None,
            rules: Vec::new(),
            unanswered: None,
            assurance: EvidenceKind::Unstated,
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

    /// Sends JSON instead of a form.
    pub fn with_json_body(mut self) -> Self {
        self.json = true;
        self
    }

    /// Sends the secret in this header instead of the body.
    pub fn with_secret_header(mut self, name: HeaderName) -> Self {
        self.secret_header = Some(name);
        self
    }

    /// Calls the secret something else than `secret`.
    pub fn with_secret_member(mut self, name: impl Into<Name>) -> Self {
        self.secret = name.into();
        self
    }

    /// Calls the token something else than `response`.
    pub fn with_token_member(mut self, name: impl Into<Name>) -> Self {
        self.token = name.into();
        self
    }

    /// Calls the visitor's address something else than `remoteip`, or leaves it out.
    pub fn with_client_ip_member(mut self, name: Option<&'static str>) -> Self {
        self.client_ip = name.map(Into::into);
        self
    }

    /// Sends a further member with every request, such as the site key.
    pub fn with_constant(mut self, name: impl Into<Name>, value: impl Into<String>) -> Self {
        self.constants.push((name.into(), value.into()));
        self
    }

    /// Reads the verdict elsewhere than in `success`.
    pub fn with_success_at(mut self, path: impl Into<Name>) -> Self {
        self.success = path.into();
        self
    }

    /// Reads the code or codes elsewhere than in `error-codes`.
    pub fn with_codes_at(mut self, path: impl Into<Name>) -> Self {
        self.codes = path.into();
        self
    }

    /// Reads the host elsewhere than in `hostname`, or not at all.
    pub fn with_hostname_at(mut self, path: Option<&'static str>) -> Self {
        self.hostname = path.map(Into::into);
        self
    }

    /// Reads the time of solving elsewhere than in `challenge_ts`, or not at all.
    pub fn with_solved_at(mut self, path: Option<&'static str>) -> Self {
        self.solved_at = path.map(Into::into);
        self
    }

    /// Reads the action, which by default is not read.
    pub fn with_action_at(mut self, path: impl Into<Name>) -> Self {
        self.action = Some(path.into());
        self
    }

    /// Reads a score, which by default is not read, and says which way it counts.
    pub fn with_score_at(mut self, path: impl Into<Name>, scale: ScoreScale) -> Self {
        self.score = Some((path.into(), scale));
        self
    }

    /// Says what a code means. Codes not named refuse with [`Reason::Other`]; of several rules for
    /// one code the last counts.
    pub fn with_code(mut self, code: impl Into<Name>, classify: CodeClass) -> Self {
        self.rules.push((None, Some(code.into()), classify));
        self
    }

    /// Says what a code on a certain status means, or with `None` any reply of that status.
    pub fn with_status(
        mut self,
        status: u16,
        code: Option<&'static str>,
        classify: CodeClass,
    ) -> Self {
        self.rules
            .push((Some(status), code.map(Into::into), classify));
        self
    }

    /// Takes tokens that begin with this character for "not answered": some widgets fill their
    /// field with a state before they are done.
    pub fn with_unavailable_prefix(mut self, prefix: char) -> Self {
        self.unanswered = Some(prefix);
        self
    }

    /// Says what kind of evidence a yes is.
    pub fn with_evidence_kind(mut self, assurance: EvidenceKind) -> Self {
        self.assurance = assurance;
        self
    }

    /// Whose replies this dialect is about.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The request for a token.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret goes into a header and does not fit there.
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

    /// What a reply means.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when it is neither yes nor no.
    pub(crate) fn judge(&self, reply: &Reply) -> Result<Verdict, CheckError> {
        let (body, outage) = match siteverify::object_or_rejection(&self.provider, reply) {
            Ok(body) => (body, None),
            // A 4xx without readable JSON still has a status that may mean something, and a 5xx
            // may say by a code that it is no outage.
            Err(error) if reply.is_rejection() && error.reason() == "request-rejected" => {
                (Value::Null, None)
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                let body = json::object(reply.body()).unwrap_or_default();
                (body, Some(error))
            }
            Err(error) => return Err(error),
        };
        let codes = self.codes(&body, reply);
        let codes = codes.as_slice();
        let success = match at(&body, &self.success) {
            Some(Value::Bool(success)) => Some(*success),
            None if reply.is_rejection() => Some(false),
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

    fn codes(&self, body: &Value, reply: &Reply) -> Codes {
        let mut codes: Codes = at(body, &self.codes)
            .and_then(|codes| serde::Deserialize::deserialize(codes).ok())
            .unwrap_or_default();
        // An error in another shape than the provider documents must not vanish.
        let first = self.codes.split('.').next().unwrap_or(&self.codes);
        let harmless = [
            Value::Null,
            Value::Bool(false),
            "".into(),
            Value::Array(Vec::new()),
        ];
        let error = body.get(first).filter(|error| !harmless.contains(error));
        if codes.as_slice().is_empty() && error.is_some() {
            codes.push(Codes::UNREADABLE);
        }
        if codes.as_slice().is_empty() && reply.is_rejection() {
            codes.push(&format!("http-{}", reply.status()));
        }
        codes
    }

    fn classify(&self, status: u16, code: &str) -> CodeClass {
        // Backwards, so that what is said of a preset's codes replaces what the preset says.
        self.rules
            .iter()
            .rev()
            .find(|(on, of, _)| {
                on.is_none_or(|on| on == status) && of.as_ref().is_none_or(|of| of == code)
            })
            .map_or(CodeClass::Unknown, |(_, _, classify)| *classify)
    }

    fn facts(&self, body: &Value) -> Facts {
        let read = |path: &Option<Name>| path.as_ref().and_then(|path| at(body, path));
        let text = |path| read(path).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut facts = Facts::new(&self.provider);
        // Some providers report an origin, which is a host behind a scheme.
        facts.hostname = text(&self.hostname)
            .map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host))
            .and_then(Hostname::parse);
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
                ScoreScale::Risk(out_of) => Score::risk(raw, *out_of).ok(),
            }
        });
        facts.evidence = self.assurance;
        facts.replay_protection = ReplayProtection::Provider;
        facts
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        let mut reports = Capabilities::nothing();
        for (read, fact) in [
            (self.hostname.is_some(), FactKind::Hostname),
            (self.action.is_some(), FactKind::Action),
            (self.solved_at.is_some(), FactKind::SolvedAt),
            (self.score.is_some(), FactKind::Score),
        ] {
            if read {
                reports = reports.sometimes(fact);
            }
        }
        reports
    }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(value, |value, member| value.get(member))
        .filter(|value| !value.is_null())
}

fn from_unix(seconds: u64) -> Option<std::time::SystemTime> {
    // Times in milliseconds are told by their size.
    let seconds = if seconds > 100_000_000_000 {
        seconds / 1_000
    } else {
        seconds
    };
    std::time::SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
