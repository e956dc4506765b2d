//! Everything that copied the reCAPTCHA call, described as data.

use std::borrow::Cow;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use human_check::{
    Action, Assurance, CheckError, ConfigError, Fact, Facts, Hostname, HumanCheck, Provider,
    Reason, Reports, Score, Secret, SingleUse, Submission, Verdict,
};
use serde_json::{Map, Value};

use crate::json::Codes;
use crate::siteverify::{self, Blame};
use crate::{Endpoint, Exchange, FormBody, Question, Reply, Request, Retry, timestamp};

type Name = Cow<'static, str>;

/// How one vendor spells the siteverify call.
///
/// Start from [`Dialect::new`], which speaks reCAPTCHA v2, and change what differs; or take a
/// preset. Members of the reply are given as paths with dots, such as `data.challenge.origin`.
///
/// A reply is a yes when the success member is the literal `true` on status 200 and no code
/// stands beside it; a 200 without that member is a protocol error, and everything that the
/// vendor's codes do not explain refuses.
#[derive(Clone, Debug)]
#[must_use]
pub struct Dialect {
    provider: Provider,
    endpoint: Endpoint,
    json: bool,
    secret_header: Option<HeaderName>,
    secret: Name,
    token: Name,
    client_ip: Option<Name>,
    constants: Vec<(Name, String)>,
    success: Name,
    codes: Name,
    hostname: Option<Name>,
    action: Option<Name>,
    solved_at: Option<Name>,
    score: Option<(Name, ScoreScale)>,
    rules: Vec<(Option<u16>, Option<Name>, Blame)>,
    unanswered: Option<char>,
    assurance: Assurance,
}

/// Which way a vendor's score counts.
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
            assurance: Assurance::Unstated,
        }
        .blaming("missing-input-secret", Blame::Owner("secret"))
        .blaming("invalid-input-secret", Blame::Owner("secret"))
        .blaming("bad-request", Blame::Owner("request"))
        .blaming("missing-input-response", Blame::Visitor(Reason::Missing))
        .blaming("invalid-input-response", Blame::Visitor(Reason::Invalid))
        .blaming(
            "timeout-or-duplicate",
            Blame::Visitor(Reason::ExpiredOrSpent),
        )
    }

    /// Sends JSON instead of a form.
    pub fn sending_json(mut self) -> Self {
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

    /// Says what a code means. Codes not named refuse with [`Reason::Other`].
    pub fn blaming(mut self, code: impl Into<Name>, blame: Blame) -> Self {
        self.rules.push((None, Some(code.into()), blame));
        self
    }

    /// Says what a code on a certain status means, or with `None` any reply of that status.
    pub fn blaming_status(mut self, status: u16, code: Option<&'static str>, blame: Blame) -> Self {
        self.rules.push((Some(status), code.map(Into::into), blame));
        self
    }

    /// Takes tokens that begin with this character for "not answered": some widgets fill their
    /// field with a state before they are done.
    pub fn with_unanswered_prefix(mut self, prefix: char) -> Self {
        self.unanswered = Some(prefix);
        self
    }

    /// Says what kind of evidence a yes is.
    pub fn with_assurance(mut self, assurance: Assurance) -> Self {
        self.assurance = assurance;
        self
    }

    /// Cap Standalone. `instance` is its base URL.
    ///
    /// Contract: others.md section 2a. It reports nothing but yes or no, and refuses with HTTP
    /// statuses; "Invalid site key or secret" is a wrong secret on 403, and on 404 an unknown site
    /// key *or a token of another key*, which a visitor can provoke.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn cap(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static CAP: Provider = Provider::new("cap", &["cap-token"]);
        const MISMATCH: Option<&str> = Some("Invalid site key or secret");
        let path = format!(
            "{}/{site_key}/siteverify",
            instance.url().path().trim_end_matches('/')
        );
        Ok(Self::new(CAP.clone(), instance.at_path(&path))
            .sending_json()
            .with_client_ip_member(None)
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_assurance(Assurance::ProofOfWork)
            .blaming_status(404, MISMATCH, Blame::Suspect(Reason::WrongSiteKey))
            .blaming_status(403, MISMATCH, Blame::Owner("secret"))
            .blaming_status(
                404,
                Some("Token not found"),
                Blame::Visitor(Reason::Invalid),
            )
            .blaming_status(403, Some("Token expired"), Blame::Visitor(Reason::Expired))
            // A token that is not of three parts, or a request of ours that lacks something.
            .blaming_status(400, None, Blame::Suspect(Reason::Invalid)))
    }

    /// `CaptchaFox`. Contract: others.md section 4; its statuses are not established, so only the codes count.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn captchafox(site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static CAPTCHAFOX: Provider = Provider::new("captchafox", &["cf-captcha-response"]);
        Ok(Self::new(
            CAPTCHAFOX.clone(),
            Endpoint::literal("https://api.captchafox.com/siteverify"),
        )
        .with_client_ip_member(Some("remoteIp"))
        .with_constant("sitekey", site_key)
        .blaming(
            "invalid-input-sitekey",
            Blame::Suspect(Reason::WrongSiteKey),
        )
        .blaming("expired-input-response", Blame::Visitor(Reason::Expired)))
    }

    /// Friendly Captcha v2, global endpoint. Contract: others.md section 3.
    ///
    /// Its widget fills the field with words that begin with a dot until it is done; those are
    /// "not answered" and are not asked about.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank: without one a token of any site of the account passes.
    pub fn friendly_captcha(site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static FRIENDLY: Provider = Provider::new("friendly-captcha", &["frc-captcha-response"]);
        Ok(Self::new(
            FRIENDLY.clone(),
            Endpoint::literal("https://global.frcapi.com/api/v2/captcha/siteverify"),
        )
        .sending_json()
        .with_secret_header(HeaderName::from_static("x-api-key"))
        .with_client_ip_member(None)
        .with_constant("sitekey", site_key)
        .with_codes_at("error.error_code")
        .with_hostname_at(Some("data.challenge.origin"))
        .with_solved_at(Some("data.challenge.timestamp"))
        .with_unanswered_prefix('.')
        .blaming("response_invalid", Blame::Visitor(Reason::Invalid))
        .blaming("response_timeout", Blame::Visitor(Reason::Expired))
        .blaming("response_duplicate", Blame::Visitor(Reason::Spent))
        .blaming("response_missing", Blame::Visitor(Reason::Missing))
        .blaming("bad_request", Blame::Owner("request"))
        .blaming("sitekey_invalid", Blame::Owner("site_key"))
        .blaming("auth_required", Blame::Owner("secret"))
        .blaming("auth_invalid", Blame::Owner("secret")))
    }

    /// mCaptcha. `instance` is its base URL. Contract: others.md section 5.
    ///
    /// It reports nothing but yes or no. Which of its 400s a visitor can provoke is not
    /// established, so they refuse and tell the owner.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn mcaptcha(instance: &Endpoint, site_key: &str) -> Result<Self, ConfigError> {
        stated(site_key)?;
        static MCAPTCHA: Provider = Provider::new("mcaptcha", &["mcaptcha__token"]);
        let path = format!(
            "{}/api/v1/pow/siteverify",
            instance.url().path().trim_end_matches('/')
        );
        Ok(Self::new(MCAPTCHA.clone(), instance.at_path(&path))
            .sending_json()
            .with_token_member("token")
            .with_client_ip_member(None)
            .with_constant("key", site_key)
            .with_success_at("valid")
            .with_codes_at("error")
            .with_hostname_at(None)
            .with_solved_at(None)
            .with_assurance(Assurance::ProofOfWork)
            .blaming_status(401, None, Blame::Owner("secret"))
            .blaming_status(404, None, Blame::Owner("site_key"))
            .blaming_status(400, None, Blame::Suspect(Reason::Other)))
    }

    /// The same at another URL, such as a regional host or a test server.
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Whose answers this dialect is about.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The request for a token.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret goes into a header and does not fit there.
    pub fn build(
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
    pub fn judge(&self, reply: &Reply) -> Result<Verdict, CheckError> {
        // A 4xx without readable JSON still has a status that may mean something.
        let answer: Value = match siteverify::object(&self.provider, reply) {
            Err(error) if !(reply.is_rejection() && error.reason() == "request-rejected") => {
                return Err(error);
            }
            read => read.unwrap_or_default(),
        };
        let mut codes: Codes = at(&answer, &self.codes)
            .and_then(|codes| serde::Deserialize::deserialize(codes).ok())
            .unwrap_or_default();
        // An error in another shape than the vendor documents must not vanish.
        let first = self.codes.split('.').next().unwrap_or(&self.codes);
        let harmless = [
            Value::Null,
            Value::Bool(false),
            "".into(),
            Value::Array(Vec::new()),
        ];
        if codes.as_slice().is_empty()
            && answer
                .get(first)
                .is_some_and(|error| !harmless.contains(error))
        {
            codes.push(Codes::UNREADABLE);
        }
        if codes.as_slice().is_empty() && reply.is_rejection() {
            codes.push(&format!("http-{}", reply.status()));
        }
        let success = match at(&answer, &self.success) {
            Some(Value::Bool(success)) => Some(*success),
            None if reply.is_rejection() => Some(false),
            _ => None,
        };
        let refusal =
            siteverify::decide(&self.provider, reply, success, codes.as_slice(), |code| {
                self.blame(reply.status(), code)
            })?;
        let facts = self.facts(&answer);
        Ok(match refusal {
            None => Verdict::Human(facts),
            Some(refusal) => refusal.with_facts(facts).into(),
        })
    }

    fn blame(&self, status: u16, code: &str) -> Blame {
        self.rules
            .iter()
            .find(|(on, of, _)| {
                on.is_none_or(|on| on == status) && of.as_ref().is_none_or(|of| of == code)
            })
            .map_or(Blame::Unknown, |(_, _, blame)| *blame)
    }

    fn facts(&self, answer: &Value) -> Facts {
        let read = |path: &Option<Name>| path.as_ref().and_then(|path| at(answer, path));
        let text = |path| read(path).and_then(Value::as_str).filter(|t| !t.is_empty());
        let mut facts = Facts::new(&self.provider);
        // Some vendors report an origin, which is a host behind a scheme.
        facts.hostname = text(&self.hostname)
            .map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host))
            .and_then(Hostname::parse);
        facts.action = text(&self.action).map(Action::exact);
        facts.solved_at = match read(&self.solved_at) {
            Some(Value::String(text)) => timestamp(text),
            Some(Value::Number(seconds)) => seconds.as_u64().and_then(from_unix),
            _ => None,
        };
        facts.score = self.score.as_ref().and_then(|(path, scale)| {
            let raw = at(answer, path)?.as_f64()?;
            match scale {
                ScoreScale::Humanity => Score::humanity(raw).ok(),
                ScoreScale::Risk(out_of) => Score::risk(raw, *out_of).ok(),
            }
        });
        facts.assurance = self.assurance;
        facts.single_use = SingleUse::Vendor;
        facts
    }

    fn reports(&self) -> Reports {
        let mut reports = Reports::nothing();
        for (read, fact) in [
            (self.hostname.is_some(), Fact::Hostname),
            (self.action.is_some(), Fact::Action),
            (self.solved_at.is_some(), Fact::SolvedAt),
            (self.score.is_some(), Fact::Score),
        ] {
            if read {
                reports = reports.sometimes(fact);
            }
        }
        reports
    }
}

fn stated(site_key: &str) -> Result<(), ConfigError> {
    if site_key.trim().is_empty() {
        return Err(ConfigError::new(
            "site_key",
            "is empty",
            "copy the site key that the page shows",
        ));
    }
    Ok(())
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

/// Any vendor that speaks a [`Dialect`].
///
/// ```
/// use human_check::Secret;
/// use human_check_http::{CannedTransport, Dialect, Endpoint, Exchange, Reply, SiteVerify};
///
/// # let transport = CannedTransport::always(Reply::new(200, r#"{"success":true}"#));
/// let exchange = Exchange::new(transport); // in a service: HyperTransport::new()?
/// let instance = Endpoint::parse("https://cap.example.com")?;
/// let cap = SiteVerify::new(&exchange, Dialect::cap(&instance, "site-key")?, Secret::new("key-secret")?)?;
/// # Ok::<(), human_check::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SiteVerify {
    exchange: Exchange,
    dialect: Dialect,
    secret: Secret,
}

impl SiteVerify {
    /// Asks over `exchange` in `dialect`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret does not fit where the dialect puts it, or two members
    /// would have one name, so that one would replace the other.
    pub fn new(exchange: &Exchange, dialect: Dialect, secret: Secret) -> Result<Self, ConfigError> {
        let mut names = vec![&dialect.secret, &dialect.token];
        let further = dialect.constants.iter().map(|(name, _)| name);
        for name in dialect.client_ip.iter().chain(further) {
            if names.contains(&name) {
                return Err(ConfigError::new(
                    "dialect",
                    format!("sends two members named `{name}`"),
                    "rename one, or leave the constant out",
                ));
            }
            names.push(name);
        }
        dialect.build(&secret, "probe", &Submission::new())?;
        Ok(Self {
            exchange: exchange.clone(),
            dialect,
            secret,
        })
    }

    /// Opens a connection before the first visitor needs one.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the vendor cannot be reached.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.exchange
            .prewarm(&self.dialect.provider, &self.dialect.endpoint)
            .await
    }
}

#[async_trait]
impl HumanCheck for SiteVerify {
    fn accepts(&self) -> &[Provider] {
        std::slice::from_ref(&self.dialect.provider)
    }

    fn reports(&self) -> Reports {
        self.dialect.reports()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let provider = &self.dialect.provider;
        let token = match submission.token(provider, self.exchange.limits().token_bytes) {
            Ok(token)
                if self
                    .dialect
                    .unanswered
                    .is_some_and(|prefix| token.starts_with(prefix)) =>
            {
                return self
                    .exchange
                    .refuse(provider, human_check::Refusal::new(Reason::Missing));
            }
            Ok(token) => token,
            Err(refusal) => return self.exchange.refuse(provider, refusal),
        };
        let request = self
            .dialect
            .build(&self.secret, token, submission)
            .map_err(|error| {
                CheckError::new(human_check::ErrorKind::Misconfigured, provider, "secret")
                    .with_source(error)
            })?;
        let question = Question {
            provider,
            submission,
            request,
            secrets: &[token, self.secret.expose()],
            retry: Retry::Unsent,
        };
        self.exchange
            .verify(question, |reply| self.dialect.judge(reply))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(dialect: &Dialect, status: u16, body: &'static str) -> String {
        match dialect.judge(&Reply::new(status, body)) {
            Ok(Verdict::Human(_)) => "human".into(),
            Ok(Verdict::NotHuman(refusal)) => {
                let alert = if refusal.is_alert() { "!" } else { "" };
                format!("{}{alert}", refusal.reason())
            }
            Err(error) => format!("{} {}", error.kind(), error.reason()),
        }
    }

    fn instance() -> Endpoint {
        Endpoint::literal("https://captcha.example/base/")
    }

    #[test]
    fn cap_refuses_by_status_and_string() {
        let cap = Dialect::cap(&instance(), "key").unwrap();
        assert_eq!(cap.endpoint.url().path(), "/base/key/siteverify");
        for (status, body, expected) in [
            (200, r#"{"success":true}"#, "human"),
            (200, r#"{"success":"true"}"#, "protocol no-verdict"),
            (200, "{}", "protocol no-verdict"),
            (
                404,
                r#"{"success":false,"error":"Token not found"}"#,
                "invalid",
            ),
            (
                403,
                r#"{"success":false,"error":"Token expired"}"#,
                "expired",
            ),
            (
                403,
                r#"{"error":"Invalid site key or secret"}"#,
                "misconfigured secret",
            ),
            (
                404,
                r#"{"error":"Invalid site key or secret"}"#,
                "wrong-site-key!",
            ),
            (
                400,
                r#"{"error":"Missing required parameters"}"#,
                "invalid!",
            ),
            (404, "<html>", "misconfigured request-rejected"),
            (
                403,
                r#"{"error":"something new"}"#,
                "misconfigured request-rejected",
            ),
            (500, r#"{"success":true}"#, "unavailable server-error"),
        ] {
            assert_eq!(outcome(&cap, status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn friendly_captcha_reads_nested_members() {
        let friendly = Dialect::friendly_captcha("site").unwrap();
        let yes = r#"{"success":true,"data":{"event_id":"e","challenge":{"timestamp":"2023-08-04T13:01:25Z","origin":"https://example.com"}}}"#;
        let verdict = friendly.judge(&Reply::new(200, yes)).unwrap();
        let facts = verdict.human().unwrap();
        assert_eq!(facts.hostname.as_ref().unwrap().as_str(), "example.com");
        assert_eq!(facts.solved_at, timestamp("2023-08-04T13:01:25Z"));
        let old = r#"{"success":true,"data":{"challenge":{"timestamp":1691154085,"origin":"example.com"}}}"#;
        let verdict = friendly.judge(&Reply::new(200, old)).unwrap();
        assert_eq!(
            verdict.human().unwrap().solved_at,
            timestamp("2023-08-04T13:01:25Z")
        );
        for (status, code, expected) in [
            (200, "response_invalid", "invalid"),
            (200, "response_timeout", "expired"),
            (200, "response_duplicate", "spent"),
            (400, "sitekey_invalid", "misconfigured site_key"),
            (401, "auth_invalid", "misconfigured secret"),
            (200, "new_code", "other"),
        ] {
            let body =
                format!(r#"{{"success":false,"error":{{"error_code":"{code}","detail":"x"}}}}"#);
            assert_eq!(outcome(&friendly, status, body.leak()), expected);
        }
        let request = friendly
            .build(&Secret::new("api-key").unwrap(), "t", &Submission::new())
            .unwrap();
        assert_eq!(request.headers()["x-api-key"], "api-key");
        assert!(request.headers()["x-api-key"].is_sensitive());
        assert_eq!(
            request.body().as_ref(),
            br#"{"response":"t","sitekey":"site"}"#
        );
    }

    #[test]
    fn mcaptcha_and_captchafox_speak_their_dialects() {
        let mcaptcha = Dialect::mcaptcha(&instance(), "key").unwrap();
        for (status, body, expected) in [
            (200, r#"{"valid":true}"#, "human"),
            (200, r#"{"valid":false}"#, "other"),
            (200, r#"{"success":true}"#, "protocol no-verdict"),
            (401, r#"{"error":"wrong"}"#, "misconfigured secret"),
            (404, "", "misconfigured site_key"),
            (400, r#"{"error":"x"}"#, "other!"),
        ] {
            assert_eq!(
                outcome(&mcaptcha, status, body),
                expected,
                "{status} {body}"
            );
        }
        let fox = Dialect::captchafox("site").unwrap();
        assert_eq!(
            outcome(
                &fox,
                200,
                r#"{"success":false,"error-codes":["invalid-input-secret"]}"#
            ),
            "misconfigured secret"
        );
        let submission = Submission::new().with_client_ip("203.0.113.7".parse().unwrap());
        let request = fox
            .build(&Secret::new("s").unwrap(), "t", &submission)
            .unwrap();
        assert_eq!(
            request.body().as_ref(),
            b"secret=s&response=t&sitekey=site&remoteIp=203.0.113.7"
        );
    }

    #[test]
    fn an_error_of_another_shape_beside_success_is_no_pass() {
        let friendly = Dialect::friendly_captcha("site").unwrap();
        for error in [
            r#""auth_invalid""#,
            r#"{"code":"x"}"#,
            r#"["x"]"#,
            r#"{"error_code":""}"#,
            "5",
            "true",
        ] {
            let body = format!(r#"{{"success":true,"error":{error}}}"#);
            assert_eq!(
                outcome(&friendly, 200, body.leak()),
                "protocol success-contradicted",
                "{error}"
            );
        }
        assert_eq!(
            outcome(&friendly, 200, r#"{"success":true,"error":null}"#),
            "human"
        );
    }

    #[test]
    fn a_dialect_that_would_lose_a_member_is_refused() {
        let exchange = Exchange::new(crate::CannedTransport::always(Reply::new(200, "")));
        static ACME: Provider = Provider::new("acme", &["acme-response"]);
        let dialect = Dialect::new(ACME.clone(), instance());
        for name in ["response", "secret", "remoteip"] {
            let twice = dialect.clone().with_constant(name, "fixed");
            assert!(
                SiteVerify::new(&exchange, twice, Secret::new("s").unwrap()).is_err(),
                "{name}"
            );
        }
        assert!(Dialect::friendly_captcha(" ").is_err() && Dialect::cap(&instance(), "").is_err());
    }

    #[tokio::test]
    async fn a_widget_that_is_not_done_is_not_asked_about() {
        let vendor = crate::CannedTransport::always(Reply::new(200, r#"{"success":true}"#));
        let check = SiteVerify::new(
            &Exchange::new(vendor.clone()),
            Dialect::friendly_captcha("site").unwrap(),
            Secret::new("k").unwrap(),
        )
        .unwrap();
        let submission = Submission::new().with_token(&check.accepts()[0], ".SOLVING");
        let verdict = check.check(&submission).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason(), Reason::Missing);
        assert_eq!(vendor.requests().len(), 0);
    }
}
