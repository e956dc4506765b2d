//! v2 and v3: siteverify (recaptcha.md section 2).

use async_trait::async_trait;
use human_check_core::{
    Action, Assurance, CheckError, ConfigError, ErrorKind, Fact, Facts, Hostname, HumanCheck,
    Provider, Reason, Refusal, Reports, Score, Secret, SingleUse, Submission, TestingCredentials,
    Verdict,
};
use human_check_http::json::{Codes, Number, Text};
use human_check_http::siteverify::{self, Blame};
use human_check_http::{Endpoint, Exchange, FormBody, Question, Reply, Request, Retry, timestamp};
use serde::Deserialize;

use crate::{RECAPTCHA_V2, RECAPTCHA_V3};

const SITEVERIFY: &str = "https://www.google.com/recaptcha/api/siteverify";
const SITEVERIFY_NET: &str = "https://www.recaptcha.net/recaptcha/api/siteverify";

/// Published for v2; accepts any token (section 7.1).
const TESTING_SECRET: &str = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
const TESTING_HOSTNAME: &str = "testkey.google.com";

/// What the two adapters share: one secret at one siteverify.
#[derive(Clone, Debug)]
struct Classic {
    exchange: Exchange,
    endpoint: Endpoint,
    provider: Provider,
    secret: Secret,
    testing: TestingCredentials,
}

impl Classic {
    fn new(
        exchange: &Exchange,
        provider: &Provider,
        secret: Secret,
        testing: TestingCredentials,
    ) -> Result<Self, ConfigError> {
        if secret.expose() == TESTING_SECRET && !testing.allowed() {
            return Err(ConfigError::new(
                "secret",
                "is Google's testing secret, with which every token passes",
                "use the secret of your key, or `RecaptchaV2::for_testing` in tests",
            ));
        }
        Ok(Self {
            exchange: exchange.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: provider.clone(),
            secret,
            testing,
        })
    }

    /// Section 2.2. The secret stands first, as in Google's own clients.
    fn build(&self, token: &str, submission: &Submission) -> Request {
        let mut body = FormBody::with_capacity(token.len() + 160)
            .pair("secret", self.secret.expose())
            .pair("response", token);
        if let Some(ip) = submission.client_ip() {
            body = body.pair("remoteip", &ip.to_string());
        }
        Request::form(&self.endpoint, body)
    }

    async fn check(
        &self,
        submission: &Submission,
        judge: impl Fn(&Reply) -> Result<Verdict, CheckError> + Send,
    ) -> Result<Verdict, CheckError> {
        let token = match submission.token(&self.provider, self.exchange.limits().token_bytes) {
            Ok(token) => token,
            Err(refusal) => return self.exchange.refuse(&self.provider, refusal),
        };
        let question = Question {
            provider: &self.provider,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            // Google has no idempotency key, and a blind repeat would report its own duplicate.
            retry: Retry::Unsent,
        };
        self.exchange.verify(question, judge).await
    }
}

macro_rules! settings {
    () => {
        /// Asks www.recaptcha.net, for networks where google.com is blocked.
        #[must_use]
        pub fn on_recaptcha_net(mut self) -> Self {
            self.classic.endpoint = Endpoint::literal(SITEVERIFY_NET);
            self
        }

        /// Asks somewhere else, such as an emulator.
        #[must_use]
        pub fn at(mut self, endpoint: Endpoint) -> Self {
            self.classic.endpoint = endpoint;
            self
        }

        /// For pages that post the token under other names.
        #[must_use]
        pub fn with_form_fields<F: Into<String>>(
            mut self,
            fields: impl IntoIterator<Item = F>,
        ) -> Self {
            self.classic.provider = self.classic.provider.with_fields(fields);
            self
        }

        /// Opens a connection before the first visitor needs one.
        ///
        /// # Errors
        ///
        /// [`CheckError`] when the vendor cannot be reached.
        pub async fn prewarm(&self) -> Result<(), CheckError> {
            let Classic {
                exchange,
                provider,
                endpoint,
                ..
            } = &self.classic;
            exchange.prewarm(provider, endpoint).await
        }

        /// The request for a token (section 2.2).
        pub fn build(&self, token: &str, submission: &Submission) -> Request {
            self.classic.build(token, submission)
        }
    };
}

/// reCAPTCHA v2, checkbox or invisible: yes or no, without a score.
#[derive(Clone, Debug)]
pub struct RecaptchaV2 {
    classic: Classic,
    allow_score: bool,
}

impl RecaptchaV2 {
    /// Asks with the secret of a v2 key.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is Google's published testing secret.
    pub fn new(exchange: &Exchange, secret: Secret) -> Result<Self, ConfigError> {
        Self::with_testing(exchange, secret, TestingCredentials::Refused)
    }

    /// For tests only: also takes the testing secret, and lets its answers pass, marked as such.
    ///
    /// # Errors
    ///
    /// None today; the type is that of [`new`](Self::new).
    pub fn for_testing(exchange: &Exchange, secret: Secret) -> Result<Self, ConfigError> {
        Self::with_testing(exchange, secret, TestingCredentials::Allowed)
    }

    fn with_testing(
        exchange: &Exchange,
        secret: Secret,
        testing: TestingCredentials,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(exchange, &RECAPTCHA_V2, secret, testing)?,
            allow_score: false,
        })
    }

    /// Tolerates a score in the reply, which otherwise shows that v3 keys were put under v2 rules.
    /// Checkbox keys that live in Google Cloud may send one; whether they do is not established.
    #[must_use]
    pub fn allowing_score(mut self) -> Self {
        self.allow_score = true;
        self
    }

    settings!();
}

#[async_trait]
impl HumanCheck for RecaptchaV2 {
    fn accepts(&self) -> &[Provider] {
        std::slice::from_ref(&self.classic.provider)
    }

    fn reports(&self) -> Reports {
        Reports::nothing()
            .sometimes(Fact::Hostname)
            .sometimes(Fact::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let rules = V2Rules {
            allow_score: self.allow_score,
            testing: self.classic.testing,
        };
        self.classic
            .check(submission, |reply| judge_v2(reply, rules))
            .await
    }
}

/// reCAPTCHA v3: a score, and a threshold that only you can know.
#[derive(Clone, Debug)]
pub struct RecaptchaV3 {
    classic: Classic,
    min_score: Score,
}

impl RecaptchaV3 {
    /// Asks with the secret of a v3 key, and refuses scores under `min_score`.
    ///
    /// Scores run from 0 (machine) to 1 (human); Google suggests to start with 0.5.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is Google's published testing secret, which is for v2 and
    /// has no scores.
    pub fn new(exchange: &Exchange, secret: Secret, min_score: Score) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(exchange, &RECAPTCHA_V3, secret, TestingCredentials::Refused)?,
            min_score,
        })
    }

    settings!();
}

#[async_trait]
impl HumanCheck for RecaptchaV3 {
    fn accepts(&self) -> &[Provider] {
        std::slice::from_ref(&self.classic.provider)
    }

    fn reports(&self) -> Reports {
        Reports::nothing()
            .always(Fact::Score)
            .sometimes(Fact::Action)
            .sometimes(Fact::Hostname)
            .sometimes(Fact::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let rules = V3Rules {
            min_score: self.min_score,
        };
        self.classic
            .check(submission, |reply| judge_v3(reply, rules))
            .await
    }
}

/// What [`judge_v2`] holds a reply to.
#[derive(Clone, Copy, Debug, Default)]
pub struct V2Rules {
    /// Whether a score in the reply is tolerated.
    pub allow_score: bool,
    /// Whether answers to the testing secret count.
    pub testing: TestingCredentials,
}

/// What [`judge_v3`] holds a reply to.
#[derive(Clone, Copy, Debug)]
pub struct V3Rules {
    /// The lowest score that passes.
    pub min_score: Score,
}

/// What a siteverify reply means for a v2 key (sections 2.3 to 2.7).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no. A score means v3 keys under v2 rules: `Misconfigured`.
pub fn judge_v2(reply: &Reply, rules: V2Rules) -> Result<Verdict, CheckError> {
    let (answer, refusal) = siteverify::read::<Answer<'_>>(&RECAPTCHA_V2, reply, blame)?;
    let has_score = answer.score.is_stated();
    let facts = answer.facts(&RECAPTCHA_V2, rules.testing)?;
    if refusal.is_none() && has_score && !rules.allow_score {
        return Err(misconfigured(&RECAPTCHA_V2, "score-in-v2"));
    }
    Ok(siteverify::conclude(facts, refusal, rules.testing))
}

/// What a siteverify reply means for a v3 key (sections 2.3 to 2.7).
///
/// `success` only says that the token is genuine; the score decides. A reply without an action
/// refuses, since v3 always has one, be it empty.
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no. A yes without a score means v2 keys under v3
/// rules: `Misconfigured`.
pub fn judge_v3(reply: &Reply, rules: V3Rules) -> Result<Verdict, CheckError> {
    let (answer, refusal) = siteverify::read::<Answer<'_>>(&RECAPTCHA_V3, reply, blame)?;
    let (has_score, has_action) = (answer.score.is_stated(), answer.action.is_stated());
    let facts = answer.facts(&RECAPTCHA_V3, TestingCredentials::Refused)?;
    let refusal = match (refusal, facts.score) {
        (Some(refusal), _) => Some(refusal),
        (None, None) if has_score => {
            return Err(CheckError::new(
                ErrorKind::Protocol,
                &RECAPTCHA_V3,
                "score-unusable",
            ));
        }
        (None, None) => return Err(misconfigured(&RECAPTCHA_V3, "score-absent")),
        (None, Some(score)) if !score.at_least(rules.min_score) => {
            Some(Refusal::new(Reason::ScoreTooLow))
        }
        // An empty action is one that the page did not set; no action at all is no v3 reply.
        (None, Some(_)) if !has_action => {
            Some(Refusal::new(Reason::EvidenceAbsent(Fact::Action)).alerting())
        }
        (None, Some(_)) => None,
    };
    Ok(siteverify::conclude(
        facts,
        refusal,
        TestingCredentials::Refused,
    ))
}

fn misconfigured(provider: &Provider, reason: &'static str) -> CheckError {
    CheckError::new(ErrorKind::Misconfigured, provider, reason)
}

/// Section 2.4. `invalid-keys` is the owner's fault when it happens to everybody, but a token of
/// another site provokes it too.
fn blame(code: &str) -> Blame {
    match code {
        "missing-input-secret" | "invalid-input-secret" => Blame::Owner("secret"),
        "bad-request" => Blame::Owner("request"),
        "invalid-keys" => Blame::Suspect(Reason::WrongSiteKey),
        "missing-input-response" => Blame::Visitor(Reason::Missing),
        "invalid-input-response" | "browser-error" | "incorrect-captcha-sol" => {
            Blame::Visitor(Reason::Invalid)
        }
        "timeout-or-duplicate" => Blame::Visitor(Reason::ExpiredOrSpent),
        // Over quota Google answers success with a fixed 0.9 and this text (section 2.6).
        text if text.to_ascii_lowercase().contains("free quota") => Blame::Declined("quota"),
        _ => Blame::Unknown,
    }
}

/// Section 2.3.
#[derive(Deserialize)]
struct Answer<'a> {
    success: Option<bool>,
    #[serde(rename = "error-codes", default)]
    codes: Codes,
    #[serde(borrow, default)]
    challenge_ts: Text<'a>,
    #[serde(borrow, default)]
    hostname: Text<'a>,
    #[serde(borrow, default)]
    apk_package_name: Text<'a>,
    #[serde(default)]
    score: Number,
    #[serde(borrow, default)]
    action: Text<'a>,
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
    fn facts(self, provider: &Provider, testing: TestingCredentials) -> Result<Facts, CheckError> {
        let mut facts = Facts::new(provider);
        facts.single_use = SingleUse::Vendor;
        facts.hostname = self.hostname.get().and_then(Hostname::parse);
        facts.testing_credentials = facts
            .hostname
            .as_ref()
            .is_some_and(|host| host.as_str() == TESTING_HOSTNAME);
        if facts.testing_credentials && !testing.allowed() && self.success == Some(true) {
            // Only the testing secret reports this host, unless origins are not verified at all;
            // both are ours to mend.
            return Err(misconfigured(provider, "testing-credentials"));
        }
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        facts.app = self.apk_package_name.owned();
        facts.score = self
            .score
            .get()
            .and_then(|score| Score::humanity(score).ok());
        facts.action = self.action.owned().map(Action::ignoring_case);
        facts.assurance = if facts.score.is_some() {
            Assurance::RiskScored
        } else {
            Assurance::Unstated
        };
        Ok(facts)
    }
}
