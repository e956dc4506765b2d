//! v2 and v3: siteverify (recaptcha.md section 2).

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, EvidenceKind, FactKind, Facts, Hostname,
    HumanCheck, Provider, Reason, Refusal, ReplayProtection, ReportedAction, Score, Secret,
    Submission, TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Number, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;

use crate::{RECAPTCHA_V2, RECAPTCHA_V3};

const SITEVERIFY: &str = "https://www.google.com/recaptcha/api/siteverify";
const SITEVERIFY_NET: &str = "https://www.recaptcha.net/recaptcha/api/siteverify";

/// Published for v2; accepts any token (section 7.1).
const TEST_SECRET: &str = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
const TEST_HOSTNAME: &str = "testkey.google.com";

/// What the two adapters share: one secret at one siteverify.
#[derive(Clone, Debug)]
struct Classic {
    client: ProviderClient,
    endpoint: Endpoint,
    provider: Provider,
    secret: Secret,
    test_keys: TestKeyPolicy,
}

impl Classic {
    fn new(
        client: &ProviderClient,
        provider: &Provider,
        secret: Secret,
        test_keys: TestKeyPolicy,
    ) -> Result<Self, ConfigError> {
        refuse_test_secret(&secret, &[TEST_SECRET], test_keys)?;
        Ok(Self {
            client: client.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: provider.clone(),
            secret,
            test_keys,
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
        let token = match submission.token_for(&self.provider, self.client.limits().max_token_bytes)
        {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&self.provider, refusal),
        };
        let call = VerifyCall {
            provider: &self.provider,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            // Google has no idempotency key, and a blind repeat would report its own duplicate.
            resend: ResendPolicy::Unsent,
        };
        self.client.verify(call, judge).await
    }
}

macro_rules! settings {
    () => {
        /// Asks www.recaptcha.net, for networks where google.com is blocked.
        #[must_use]
        pub fn with_recaptcha_net(mut self) -> Self {
            self.classic.endpoint = Endpoint::literal(SITEVERIFY_NET);
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
        /// [`CheckError`] when the provider cannot be reached.
        pub async fn prewarm(&self) -> Result<(), CheckError> {
            let Classic {
                client,
                provider,
                endpoint,
                ..
            } = &self.classic;
            client.prewarm(provider, endpoint).await
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
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Self::with_test_keys(client, secret, TestKeyPolicy::Refused)
    }

    /// For tests only: also takes the testing secret, and lets its replies pass, marked as such.
    ///
    /// # Errors
    ///
    /// None today; the type is that of [`new`](Self::new).
    pub fn for_testing(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Self::with_test_keys(client, secret, TestKeyPolicy::Allowed)
    }

    fn with_test_keys(
        client: &ProviderClient,
        secret: Secret,
        test_keys: TestKeyPolicy,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(client, &RECAPTCHA_V2, secret, test_keys)?,
            allow_score: false,
        })
    }

    /// Tolerates a score in the reply, which otherwise shows that v3 keys were put under v2 rules.
    /// Checkbox keys that live in Google Cloud may send one; whether they do is not established.
    #[must_use]
    pub fn with_score_allowed(mut self) -> Self {
        self.allow_score = true;
        self
    }

    settings!();
}

#[async_trait]
impl HumanCheck for RecaptchaV2 {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.classic.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let rules = V2Rules {
            allow_score: self.allow_score,
            test_keys: self.classic.test_keys,
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
    pub fn new(
        client: &ProviderClient,
        secret: Secret,
        min_score: Score,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(client, &RECAPTCHA_V3, secret, TestKeyPolicy::Refused)?,
            min_score,
        })
    }

    settings!();
}

#[async_trait]
impl HumanCheck for RecaptchaV3 {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.classic.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .always(FactKind::Score)
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt)
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
struct V2Rules {
    /// Whether a score in the reply is tolerated.
    pub allow_score: bool,
    /// Whether replies to the testing secret count.
    pub test_keys: TestKeyPolicy,
}

/// What [`judge_v3`] holds a reply to.
#[derive(Clone, Copy, Debug)]
struct V3Rules {
    /// The lowest score that passes.
    pub min_score: Score,
}

/// What a siteverify reply means for a v2 key (sections 2.3 to 2.7).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no. A score means v3 keys under v2 rules: `Misconfigured`.
fn judge_v2(reply: &Reply, rules: V2Rules) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&RECAPTCHA_V2, reply, classify)?;
    let has_score = body.score.is_stated();
    let facts = body.facts(&RECAPTCHA_V2, rules.test_keys)?;
    if refusal.is_none() && has_score && !rules.allow_score {
        return Err(misconfigured(&RECAPTCHA_V2, "score-in-v2"));
    }
    Ok(siteverify::conclude(facts, refusal, rules.test_keys))
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
fn judge_v3(reply: &Reply, rules: V3Rules) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&RECAPTCHA_V3, reply, classify)?;
    let (has_score, has_action) = (body.score.is_stated(), body.action.is_stated());
    let facts = body.facts(&RECAPTCHA_V3, TestKeyPolicy::Refused)?;
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
            Some(Refusal::new(Reason::EvidenceAbsent(FactKind::Action)).with_alert())
        }
        (None, Some(_)) => None,
    };
    Ok(siteverify::conclude(facts, refusal, TestKeyPolicy::Refused))
}

fn misconfigured(provider: &Provider, reason: &'static str) -> CheckError {
    CheckError::new(ErrorKind::Misconfigured, provider, reason)
}

/// Section 2.4. `invalid-keys` is the owner's fault when it happens to everybody, but a token of
/// another site provokes it too.
fn classify(code: &str) -> CodeClass {
    match code {
        "missing-input-secret" | "invalid-input-secret" => CodeClass::Misconfigured("secret"),
        "bad-request" => CodeClass::Misconfigured("request"),
        "invalid-keys" => CodeClass::RefusedWithAlert(Reason::WrongSiteKey),
        "missing-input-response" => CodeClass::Refused(Reason::Missing),
        "invalid-input-response" | "browser-error" | "incorrect-captcha-sol" => {
            CodeClass::Refused(Reason::Invalid)
        }
        "timeout-or-duplicate" => CodeClass::Refused(Reason::ExpiredOrReplayed),
        // Over quota Google replies success with a fixed 0.9 and this text (section 2.6).
        text if text.to_ascii_lowercase().contains("free quota") => CodeClass::Declined("quota"),
        _ => CodeClass::Unknown,
    }
}

/// Section 2.3.
#[derive(Deserialize)]
struct SiteverifyReply<'a> {
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

impl siteverify::SiteverifyBody for SiteverifyReply<'_> {
    fn success(&self) -> Option<bool> {
        self.success
    }

    fn codes(&self) -> &Codes {
        &self.codes
    }
}

impl SiteverifyReply<'_> {
    fn facts(self, provider: &Provider, test_keys: TestKeyPolicy) -> Result<Facts, CheckError> {
        let mut facts = Facts::new(provider);
        facts.replay_protection = ReplayProtection::Provider;
        facts.hostname = self.hostname.get().and_then(Hostname::parse);
        facts.test_key = facts
            .hostname
            .as_ref()
            .is_some_and(|host| host.as_str() == TEST_HOSTNAME);
        if facts.test_key && !test_keys.allowed() && self.success == Some(true) {
            // Only the testing secret reports this host, unless origins are not verified at all;
            // both are ours to mend.
            return Err(misconfigured(provider, "test-key"));
        }
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        facts.app = self.apk_package_name.owned();
        facts.score = self
            .score
            .get()
            .and_then(|score| Score::humanity(score).ok());
        facts.action = self.action.owned().map(ReportedAction::ignoring_case);
        facts.evidence = if facts.score.is_some() {
            EvidenceKind::RiskScored
        } else {
            EvidenceKind::Unstated
        };
        Ok(facts)
    }
}
