#![doc = include_str!("../README.md")]

mod widget;

pub use widget::widget;

use async_trait::async_trait;
use human_check_core::{
    Assurance, CheckError, ConfigError, Detail, Fact, Facts, Hostname, HumanCheck, Provider,
    Reason, Refusal, Reports, Score, Secret, SingleUse, Submission, TestingCredentials, Verdict,
};
use human_check_http::json::{Codes, Number, Text};
use human_check_http::siteverify::{self, Blame};
use human_check_http::{Endpoint, Exchange, FormBody, Question, Reply, Request, Retry, timestamp};
use serde::Deserialize;

/// hCaptcha and the form field of its widget (hcaptcha.md section 1).
///
/// Unless the page turns it off, the widget puts the same token into `g-recaptcha-response` too.
pub static HCAPTCHA: Provider = Provider::new("hcaptcha", &["h-captcha-response"]);

const SITEVERIFY: &str = "https://api.hcaptcha.com/siteverify";

/// The published secret for testing site keys (section 6).
const TESTING_SECRET: &str = "0x0000000000000000000000000000000000000000";

/// What answers to testing keys report as their host (section 6).
const TESTING_HOSTNAME: &str = "dummy-key-pass";

/// What a busy service reports instead of a host (section 3.1).
const NO_HOSTNAME: &str = "not-provided";

/// Asks hCaptcha's siteverify.
///
/// The site key is always sent: the secret belongs to the account, and without it a token of any
/// other site of the account would pass. Verifying spends the token and hCaptcha knows no
/// idempotency key, so nothing is repeated once it was sent.
#[derive(Clone, Debug)]
pub struct Hcaptcha {
    exchange: Exchange,
    endpoint: Endpoint,
    provider: Provider,
    site_key: String,
    secret: Secret,
    fields: Vec<(String, String)>,
    max_risk: Option<Score>,
    testing: TestingCredentials,
}

/// What [`judge`] holds a reply to.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Rules<'a> {
    /// The site key the token must belong to, where the reply names one.
    pub site_key: Option<&'a str>,
    /// The worst score that passes. With it, a reply without a score is refused.
    pub max_risk: Option<Score>,
    /// Whether answers to testing keys count.
    pub testing: TestingCredentials,
}

impl Hcaptcha {
    /// Asks for one site key with the account's secret.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank or the secret is the published testing secret.
    pub fn new(
        exchange: &Exchange,
        site_key: impl Into<String>,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        if secret.expose() == TESTING_SECRET {
            return Err(ConfigError::new(
                "secret",
                "is hCaptcha's testing secret, with which published tokens pass",
                "use your account's secret, or `Hcaptcha::for_testing` in tests",
            ));
        }
        Self::build_with(
            exchange,
            site_key.into(),
            secret,
            TestingCredentials::Refused,
        )
    }

    /// For tests only: also takes the testing secret, and lets its answers pass, marked as such.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is blank.
    pub fn for_testing(
        exchange: &Exchange,
        site_key: impl Into<String>,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        Self::build_with(
            exchange,
            site_key.into(),
            secret,
            TestingCredentials::Allowed,
        )
    }

    fn build_with(
        exchange: &Exchange,
        site_key: String,
        secret: Secret,
        testing: TestingCredentials,
    ) -> Result<Self, ConfigError> {
        if site_key.trim().is_empty() {
            return Err(ConfigError::new(
                "site_key",
                "is empty",
                "copy the site key (a UUID) from hCaptcha's dashboard",
            ));
        }
        Ok(Self {
            exchange: exchange.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: HCAPTCHA.clone(),
            site_key,
            secret,
            fields: Vec::new(),
            max_risk: None,
            testing,
        })
    }

    /// For Enterprise accounts: refuses a risk above this, from 0 (no risk) to 1 (surely a bot),
    /// and every reply without a score. Equal passes.
    ///
    /// hCaptcha answers `success` together with any score, so an Enterprise site without this lets
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

    /// Asks somewhere else, such as an emulator or a first-party host.
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
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
    /// [`CheckError`] when the vendor cannot be reached.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.exchange.prewarm(&HCAPTCHA, &self.endpoint).await
    }

    /// The request for a token (section 2). A form; hCaptcha reads no JSON.
    pub fn build(&self, token: &str, submission: &Submission) -> Request {
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
            testing: self.testing,
        }
    }
}

#[async_trait]
impl HumanCheck for Hcaptcha {
    fn accepts(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn reports(&self) -> Reports {
        let reports = Reports::nothing()
            .sometimes(Fact::Hostname)
            .sometimes(Fact::SolvedAt);
        if self.max_risk.is_some() {
            reports.always(Fact::Score)
        } else {
            reports.sometimes(Fact::Score)
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match submission.token(&HCAPTCHA, self.exchange.limits().token_bytes) {
            Ok(token) => token,
            Err(refusal) => return self.exchange.refuse(&HCAPTCHA, refusal),
        };
        let question = Question {
            provider: &HCAPTCHA,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            retry: Retry::Unsent,
        };
        self.exchange
            .verify(question, |reply| judge(reply, self.rules()))
            .await
    }
}

/// What a reply of hCaptcha's siteverify means (sections 3 to 7).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
pub fn judge(reply: &Reply, rules: Rules<'_>) -> Result<Verdict, CheckError> {
    let (answer, refusal) = siteverify::read::<Answer<'_>>(&HCAPTCHA, reply, blame)?;
    let other_site = rules
        .site_key
        .is_some_and(|ours| match answer.sitekey.get() {
            Some(theirs) => !ours.eq_ignore_ascii_case(theirs),
            None => answer.sitekey.is_stated(),
        });
    let facts = answer.facts();
    let refusal = refusal.or_else(|| {
        if other_site {
            return Some(Refusal::new(Reason::WrongSiteKey).alerting());
        }
        match (rules.max_risk, facts.score) {
            (None, _) => None,
            (Some(_), None) => Some(Refusal::new(Reason::EvidenceAbsent(Fact::Score)).alerting()),
            (Some(worst), Some(score)) => {
                (!score.at_least(worst)).then(|| Refusal::new(Reason::ScoreTooLow))
            }
        }
    });
    Ok(siteverify::conclude(facts, refusal, rules.testing))
}

/// Section 4. Two codes look like the owner's and are not: anybody can post the public testing
/// token (`not-using-dummy-secret`) or a token of somebody else's site (`sitekey-secret-mismatch`).
fn blame(code: &str) -> Blame {
    match code {
        "missing-input-secret" | "invalid-input-secret" | "not-using-dummy-passcode" => {
            Blame::Owner("secret")
        }
        "bad-request" => Blame::Owner("request"),
        "missing-remoteip" | "invalid-remoteip" => Blame::Owner("client-address"),
        "invalid-sitekey" => Blame::Owner("site-key"),
        "sitekey-secret-mismatch" => Blame::Suspect(Reason::WrongSiteKey),
        "missing-input-response" => Blame::Visitor(Reason::Missing),
        "invalid-input-response" | "not-using-dummy-secret" => Blame::Visitor(Reason::Invalid),
        "expired-input-response" => Blame::Visitor(Reason::Expired),
        "already-seen-response" => Blame::Visitor(Reason::Spent),
        "invalid-or-already-seen-response" => Blame::Visitor(Reason::Invalid),
        _ => Blame::Unknown,
    }
}

/// Sections 3.1 and 3.2. Enterprise contracts add more; what is not read here is ignored.
#[derive(Deserialize)]
struct Answer<'a> {
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

impl siteverify::Answer for Answer<'_> {
    fn success(&self) -> Option<bool> {
        self.success
    }

    fn codes(&self) -> &Codes {
        &self.codes
    }
}

impl Answer<'_> {
    fn facts(self) -> Facts {
        let mut facts = Facts::new(&HCAPTCHA);
        facts.single_use = SingleUse::Vendor;
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        let hostname = self.hostname.get().and_then(Hostname::parse);
        let is = |name| hostname.as_ref().is_some_and(|host| host.as_str() == name);
        facts.testing_credentials = is(TESTING_HOSTNAME);
        facts.hostname = if is(NO_HOSTNAME) { None } else { hostname };
        facts.score = self
            .score
            .get()
            .and_then(|risk| Score::risk(risk, 1.0).ok());
        facts.assurance = if facts.score.is_some() {
            Assurance::RiskScored
        } else {
            Assurance::Unstated
        };
        let lists = [("score_reason", self.score_reason), ("tags", self.tags)];
        for (name, list) in lists {
            if !list.as_slice().is_empty() {
                facts.details.push((name, Detail::List(list.into_vec())));
            }
        }
        let texts = [("ekey", self.ekey), ("scoped_uid_0", self.scoped_uid_0)];
        for (name, text) in texts {
            if let Some(text) = text.owned() {
                facts.details.push((name, Detail::Text(text)));
            }
        }
        if let Some(similarity) = self.similarity.get() {
            facts
                .details
                .push(("similarity", Detail::Number(similarity)));
        }
        facts
    }
}
