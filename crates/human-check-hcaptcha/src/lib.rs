#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod widget;

pub use widget::widget;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, EvidenceKind, FactKind, Facts, Hostname,
    HumanCheck, Provider, Reason, Refusal, ReplayProtection, Score, Secret, Submission,
    TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Number, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;

/// hCaptcha and the form field of its widget (hcaptcha.md section 1).
///
/// Unless the page turns it off, the widget puts the same token into `g-recaptcha-response` too.
pub static HCAPTCHA: Provider = Provider::new("hcaptcha", &["h-captcha-response"]);

const SITEVERIFY: &str = "https://api.hcaptcha.com/siteverify";

/// The published secret for testing site keys (section 6).
const TEST_SECRET: &str = "0x0000000000000000000000000000000000000000";

/// What replies to testing keys report as their host (section 6).
const TEST_HOSTNAME: &str = "dummy-key-pass";

/// What a busy service reports instead of a host (section 3.1).
const NO_HOSTNAME: &str = "not-provided";

/// Asks hCaptcha's siteverify.
///
/// The site key is always sent: the secret belongs to the account, and without it a token of any
/// other site of the account would pass. Verifying spends the token and hCaptcha knows no
/// idempotency key, so nothing is repeated once it was sent.
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

/// What [`judge`] holds a reply to.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
struct Rules<'a> {
    /// The site key the token must belong to, where the reply names one.
    pub site_key: Option<&'a str>,
    /// The worst score that passes. With it, a reply without a score is refused.
    pub max_risk: Option<Score>,
    /// Whether replies to testing keys count.
    pub test_keys: TestKeyPolicy,
}

impl Hcaptcha {
    /// Asks for one site key with the account's secret.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank or the secret is the published testing secret.
    pub fn new(
        client: &ProviderClient,
        site_key: impl Into<String>,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        Self::with_test_keys(client, site_key.into(), secret, TestKeyPolicy::Refused)
    }

    /// For tests only: also takes the testing secret, and lets its replies pass, marked as such.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn for_testing(
        client: &ProviderClient,
        site_key: impl Into<String>,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        Self::with_test_keys(client, site_key.into(), secret, TestKeyPolicy::Allowed)
    }

    fn with_test_keys(
        client: &ProviderClient,
        site_key: String,
        secret: Secret,
        test_keys: TestKeyPolicy,
    ) -> Result<Self, ConfigError> {
        refuse_test_secret(&secret, &[TEST_SECRET], test_keys)?;
        if site_key.trim().is_empty() {
            return Err(ConfigError::new(
                "site_key",
                "is empty",
                "copy the site key (a UUID) from hCaptcha's dashboard",
            ));
        }
        Ok(Self {
            client: client.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: HCAPTCHA.clone(),
            site_key,
            secret,
            fields: Vec::new(),
            max_risk: None,
            test_keys,
        })
    }

    /// For Enterprise accounts: refuses a risk above this, from 0 (no risk) to 1 (surely a bot),
    /// and every reply without a score. Equal passes.
    ///
    /// hCaptcha replies `success` together with any score, so an Enterprise site without this lets
    /// flagged bots in.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is outside 0 to 1.
    pub fn with_max_risk(mut self, max_risk: f64) -> Result<Self, ConfigError> {
        self.max_risk = Some(Score::risk(max_risk, 1.0)?);
        Ok(self)
    }

    /// Sends a further Enterprise field, such as `max_age` or `client_tags` (section 2.2).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the fields that are always sent.
    pub fn with_field(
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
                format!("would send `{name}` twice"),
                "leave it out",
            ));
        }
        self.fields.push((name, value.into()));
        Ok(self)
    }

    /// For pages that post the token under other names.
    #[must_use]
    pub fn with_form_fields<F: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = F>,
    ) -> Self {
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Opens a connection before the first visitor needs one.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the provider cannot be reached.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.client.prewarm(&HCAPTCHA, &self.endpoint).await
    }

    /// The request for a token (section 2). A form; hCaptcha reads no JSON.
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
        let reports = Capabilities::nothing()
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt);
        if self.max_risk.is_some() {
            reports.always(FactKind::Score)
        } else {
            reports.sometimes(FactKind::Score)
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match submission.token_for(&HCAPTCHA, self.client.limits().max_token_bytes) {
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
}

/// What a reply of hCaptcha's siteverify means (sections 3 to 7).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
fn judge(reply: &Reply, rules: Rules<'_>) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&HCAPTCHA, reply, classify)?;
    let other_site = rules.site_key.is_some_and(|ours| match body.sitekey.get() {
        Some(theirs) => !ours.eq_ignore_ascii_case(theirs),
        None => body.sitekey.is_stated(),
    });
    let facts = body.facts();
    let refusal = refusal.or_else(|| {
        if other_site {
            return Some(Refusal::new(Reason::WrongSiteKey).with_alert());
        }
        match (rules.max_risk, facts.score) {
            (None, _) => None,
            (Some(_), None) => {
                Some(Refusal::new(Reason::EvidenceAbsent(FactKind::Score)).with_alert())
            }
            (Some(worst), Some(score)) => {
                (!score.at_least(worst)).then(|| Refusal::new(Reason::ScoreTooLow))
            }
        }
    });
    Ok(siteverify::conclude(facts, refusal, rules.test_keys))
}

/// Section 4. Two codes look like the owner's and are not: anybody can post the public testing
/// token (`not-using-dummy-secret`) or a token of somebody else's site (`sitekey-secret-mismatch`).
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

/// Sections 3.1 and 3.2. Enterprise contracts add more; what is not read here is ignored.
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
