#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod widget;

pub use widget::widget;

use async_trait::async_trait;
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, EvidenceKind, FactKind, Facts, Health,
    Hostname, HumanCheck, Provider, Reason, Refusal, ReplayProtection, Score, Secret, Submission,
    TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Number, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, TokenFormat, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;

/// The provider hCaptcha, with the form field of its widget, `h-captcha-response`.
///
/// Unless the page loads the script with `recaptchacompat=off`, the script also posts the same
/// token as `g-recaptcha-response`. [`widget()`] turns that off.
///
/// See docs/providers/hcaptcha.md#tokens.
pub static HCAPTCHA: Provider = Provider::new("hcaptcha", &["h-captcha-response"]);

const SITEVERIFY: &str = "https://api.hcaptcha.com/siteverify";

/// The provider documents no length. Tokens of about 2,000 bytes were seen (observed).
const TOKEN: TokenFormat = TokenFormat::new(8_192);

/// The published secret of the test site keys. See docs/providers/hcaptcha.md#test-keys.
const TEST_SECRET: &str = "0x0000000000000000000000000000000000000000";

/// The host in replies to test keys. See docs/providers/hcaptcha.md#test-keys.
const TEST_HOSTNAME: &str = "dummy-key-pass";

/// What a busy service sends instead of a host. See docs/providers/hcaptcha.md#what-it-reports.
const NO_HOSTNAME: &str = "not-provided";

/// Verifies hCaptcha tokens with hCaptcha's siteverify call.
///
/// The request always names the site key, because the secret belongs to the account: without the
/// site key, a token of every other site of the account would pass. Verifying a token uses it up
/// and hCaptcha has no idempotency key, so a request is repeated only when no byte of the first
/// one was sent.
///
/// An Enterprise account needs [`with_max_risk`](Self::with_max_risk), too. hCaptcha reports
/// neither an action nor a binding.
///
/// ```
/// use human_check_core::{HumanCheck, Secret, Submission};
/// use human_check_hcaptcha::{HCAPTCHA, Hcaptcha};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ProviderClient::new(MockTransport::always(Reply::new(200, r#"{"success":true}"#)));
/// let secret = Secret::new("ES_0123456789abcdef0123456789abcdef")?;
/// let check = Hcaptcha::new(&client, "aacba776-ecc6-48a5-bc54-fb114be1ba5a", secret)?;
///
/// let submission = Submission::new().with_token(&HCAPTCHA, "token-from-the-form");
/// assert!(check.check(&submission).await?.is_human());
/// # Ok(()) }
/// ```
///
/// See docs/providers/hcaptcha.md#request.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
#[derive(Clone, Debug)]
pub struct Hcaptcha {
    client: ProviderClient,
    endpoint: Endpoint,
    provider: Provider,
    site_key: String,
    secret: Secret,
    fields: Vec<(String, String)>,
    max_risk: Option<Score>,
    test_keys: TestKeyPolicy,
}

/// The rules that [`judge`] applies to a reply.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
struct Rules<'a> {
    /// The site key that the token must belong to, where the reply names one.
    pub site_key: Option<&'a str>,
    /// The highest risk that passes. When it is set, a reply without a score is refused.
    pub max_risk: Option<Score>,
    /// Whether a reply to test keys may pass.
    pub test_keys: TestKeyPolicy,
}

impl Hcaptcha {
    /// Creates a check for one site key, with the secret of the account.
    ///
    /// Sends nothing. The first check, or [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank, or the secret is hCaptcha's published test
    /// secret.
    pub fn new(
        client: &ProviderClient,
        site_key: impl Into<String>,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        let (site_key, test_keys) = (site_key.into(), client.test_keys());
        refuse_test_secret(&secret, &[TEST_SECRET], test_keys)?;
        if site_key.trim().is_empty() {
            return Err(ConfigError::new(
                "site_key",
                "is empty",
                "copy the site key (a UUID) from hCaptcha's dashboard",
            ));
        }
        Ok(Self {
            client: client.for_adapter(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: HCAPTCHA.clone(),
            site_key,
            secret,
            fields: Vec::new(),
            max_risk: None,
            test_keys,
        })
    }

    /// Sets the highest risk that passes, from 0 (no risk) to 1 (a confirmed bot). For Enterprise
    /// accounts. Default: no limit.
    ///
    /// A higher risk is refused as `score-too-low`. A reply without a score is refused as
    /// `score-absent`, with an alert, so do not set this for an account without scores.
    ///
    /// hCaptcha reports `success` for every genuine token, whatever its risk. An Enterprise site
    /// without this limit accepts visitors that hCaptcha rated as bots.
    ///
    /// ```
    /// # use human_check_core::Secret;
    /// # use human_check_hcaptcha::Hcaptcha;
    /// # use human_check_http::{MockTransport, ProviderClient, Reply};
    /// # let client = ProviderClient::new(MockTransport::always(Reply::new(200, "{}")));
    /// # let check = Hcaptcha::new(&client, "site-key", Secret::new("secret")?)?;
    /// let check = check.with_max_risk(0.7)?;
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// See docs/providers/hcaptcha.md#enterprise.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `max_risk` is outside 0 to 1, or is not a number.
    pub fn with_max_risk(mut self, max_risk: f64) -> Result<Self, ConfigError> {
        self.max_risk = Some(Score::risk(max_risk, 1.0)?);
        Ok(self)
    }

    /// Adds an Enterprise field to every request, such as `max_age` or `client_tags`. Default:
    /// none.
    ///
    /// See docs/providers/hcaptcha.md#enterprise.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for `secret`, `response`, `sitekey` and `remoteip`, which the adapter sends
    /// itself, and for a name that was added before.
    pub fn with_request_field(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        if ["secret", "response", "sitekey", "remoteip"].contains(&name.as_str())
            || self.fields.iter().any(|(known, _)| *known == name)
        {
            return Err(ConfigError::new(
                "fields",
                format!("contain `{name}` twice"),
                "add each field once; `secret`, `response`, `sitekey` and `remoteip` are always sent",
            ));
        }
        self.fields.push((name, value.into()));
        Ok(self)
    }

    /// Sets the names of the form fields that may hold the token, for pages that post it under
    /// another name. Default: `h-captcha-response`.
    ///
    /// The given names replace the default.
    #[must_use]
    pub fn with_form_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Opens the connections to hCaptcha that the allowed number of checks in flight needs, so that the
    /// first checks do not wait for one. See [`ProviderClient::prewarm`].
    ///
    /// Sends an empty GET, which uses no token. A reply with any status is a success. Dropping the
    /// future abandons the request.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no reply arrives within the client's limits.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.client.prewarm(&HCAPTCHA, &self.endpoint).await
    }

    /// Builds the request for a token. Its body is a form, because hCaptcha reads no JSON.
    ///
    /// See docs/providers/hcaptcha.md#request.
    fn build(&self, token: &str, submission: &Submission) -> Request {
        let mut body = FormBody::with_capacity(token.len() + 256)
            .pair("secret", self.secret.expose())
            .pair("response", token)
            .pair("sitekey", &self.site_key);
        if let Some(ip) = submission.client_ip() {
            body = body.pair("remoteip", &ip.to_string());
        }
        for (name, value) in &self.fields {
            body = body.pair(name, value);
        }
        Request::form(&self.endpoint, body)
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            site_key: Some(&self.site_key),
            max_risk: self.max_risk,
            test_keys: self.test_keys,
        }
    }
}

#[async_trait]
impl HumanCheck for Hcaptcha {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::nothing()
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt);
        if self.max_risk.is_some() {
            capabilities.always(FactKind::Score)
        } else {
            capabilities.sometimes(FactKind::Score)
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match TOKEN.read(submission, &HCAPTCHA) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&HCAPTCHA, refusal),
        };
        let call = VerifyCall {
            provider: &HCAPTCHA,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Unsent,
        };
        self.client
            .verify(call, |reply| judge(reply, self.rules()))
            .await
    }

    async fn probe_health(&self) -> Health {
        let probe = Self {
            client: self.client.for_health_probe(),
            ..self.clone()
        };
        Health::of(&probe.check(&junk_submission(&HCAPTCHA, "")).await)
    }
}

/// Turns a siteverify reply into a verdict. See docs/providers/hcaptcha.md#reply.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict.
fn judge(reply: &Reply, rules: Rules<'_>) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&HCAPTCHA, reply, classify)?;
    let other_site = rules
        .site_key
        .is_some_and(|expected| match body.sitekey.get() {
            Some(reported) => !expected.eq_ignore_ascii_case(reported),
            None => body.sitekey.is_stated(),
        });
    let facts = body.facts();
    let refusal = refusal.or_else(|| {
        if other_site {
            let refusal = Refusal::new(Reason::WrongSiteKey).with_alert();
            return Some(match rules.site_key {
                Some(site_key) => refusal.with_expected(site_key),
                None => refusal,
            });
        }
        match (rules.max_risk, facts.score) {
            (None, _) => None,
            (Some(_), None) => {
                Some(Refusal::new(Reason::EvidenceAbsent(FactKind::Score)).with_alert())
            }
            (Some(max_risk), Some(score)) => {
                (!score.at_least(max_risk)).then(Refusal::for_score_alone)
            }
        }
    });
    Ok(siteverify::conclude(facts, refusal, rules.test_keys))
}

/// Classifies an error code. See docs/providers/hcaptcha.md#error-codes.
///
/// Two codes look like errors of the operator, but a visitor can cause them: with the public test
/// token (`not-using-dummy-secret`) or with a token of another site (`sitekey-secret-mismatch`,
/// inferred).
fn classify(code: &str) -> CodeClass {
    match code {
        "missing-input-secret" | "invalid-input-secret" | "not-using-dummy-passcode" => {
            CodeClass::Misconfigured("secret")
        }
        "bad-request" => CodeClass::Misconfigured("request"),
        "missing-remoteip" | "invalid-remoteip" => CodeClass::Misconfigured("client-address"),
        "invalid-sitekey" => CodeClass::Misconfigured("site-key"),
        "sitekey-secret-mismatch" => CodeClass::RefusedWithAlert(Reason::WrongSiteKey),
        "missing-input-response" => CodeClass::Refused(Reason::Missing),
        "invalid-input-response" | "not-using-dummy-secret" => CodeClass::Refused(Reason::Invalid),
        "expired-input-response" => CodeClass::Refused(Reason::Expired),
        "already-seen-response" => CodeClass::Refused(Reason::Replayed),
        "invalid-or-already-seen-response" => CodeClass::Refused(Reason::Invalid),
        _ => CodeClass::Unknown,
    }
}

/// The body of a siteverify reply. Enterprise accounts may get more members, which are ignored.
///
/// See docs/providers/hcaptcha.md#reply.
#[derive(Deserialize)]
struct SiteverifyReply<'a> {
    success: Option<bool>,
    #[serde(rename = "error-codes", default)]
    codes: Codes,
    #[serde(borrow, default)]
    challenge_ts: Text<'a>,
    #[serde(borrow, default)]
    hostname: Text<'a>,
    #[serde(default)]
    score: Number,
    #[serde(default)]
    score_reason: Codes,
    #[serde(borrow, default)]
    sitekey: Text<'a>,
    #[serde(borrow, default)]
    ekey: Text<'a>,
    #[serde(default)]
    similarity: Number,
    #[serde(borrow, default)]
    scoped_uid_0: Text<'a>,
    #[serde(default)]
    tags: Codes,
}

impl siteverify::SiteverifyBody for SiteverifyReply<'_> {
    fn success(&self) -> Option<bool> {
        self.success
    }

    fn codes(&self) -> &Codes {
        &self.codes
    }
}

impl SiteverifyReply<'_> {
    fn facts(self) -> Facts {
        let mut facts = Facts::new(&HCAPTCHA);
        facts.replay_protection = ReplayProtection::Provider;
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        let hostname = self.hostname.get().and_then(Hostname::parse);
        let is = |name| hostname.as_ref().is_some_and(|host| host.as_str() == name);
        facts.test_key = is(TEST_HOSTNAME);
        facts.hostname = if is(NO_HOSTNAME) { None } else { hostname };
        facts.score = self
            .score
            .get()
            .and_then(|risk| Score::risk(risk, 1.0).ok());
        facts.evidence = if facts.score.is_some() {
            EvidenceKind::RiskScored
        } else {
            EvidenceKind::Unstated
        };
        let lists = [("score_reason", self.score_reason), ("tags", self.tags)];
        for (name, list) in lists {
            if !list.as_slice().is_empty() {
                facts
                    .details
                    .push((name, DetailValue::List(list.into_vec())));
            }
        }
        let texts = [("ekey", self.ekey), ("scoped_uid_0", self.scoped_uid_0)];
        for (name, text) in texts {
            if let Some(text) = text.owned() {
                facts.details.push((name, DetailValue::Text(text)));
            }
        }
        if let Some(similarity) = self.similarity.get() {
            facts
                .details
                .push(("similarity", DetailValue::Number(similarity)));
        }
        facts
    }
}
