//! reCAPTCHA v2 and v3, which share Google's siteverify call.
//!
//! See docs/providers/recaptcha.md#request.

use async_trait::async_trait;
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, EvidenceKind, FactKind, Facts, Health,
    Hostname, HumanCheck, Provider, Reason, Refusal, ReplayProtection, ReportedAction, Score,
    Secret, Submission, TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Number, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;

use crate::{RECAPTCHA_V2, RECAPTCHA_V3, TOKEN_FORMAT};

const SITEVERIFY: &str = "https://www.google.com/recaptcha/api/siteverify";
const SITEVERIFY_NET: &str = "https://www.recaptcha.net/recaptcha/api/siteverify";

/// Google's published test secret, for v2. Every token passes with it.
///
/// See docs/providers/recaptcha.md#test-keys.
const TEST_SECRET: &str = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
/// The host in replies to the test secret.
const TEST_HOSTNAME: &str = "testkey.google.com";

/// The part that both adapters share: one secret and one endpoint.
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
            client: client.for_adapter(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: provider.clone(),
            secret,
            test_keys,
        })
    }

    /// Builds the request for a token. The secret comes first, as in Google's own clients.
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
        let token = match TOKEN_FORMAT.read(submission, &self.provider) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&self.provider, refusal),
        };
        let call = VerifyCall {
            provider: &self.provider,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            // Google has no idempotency key, so a repeat of a sent request would be refused as a
            // replay of the first one.
            resend: ResendPolicy::Unsent,
        };
        self.client.verify(call, judge).await
    }
}

macro_rules! settings {
    () => {
        /// Sends requests to `www.recaptcha.net` instead of `www.google.com`, for servers in
        /// networks that block google.com. Default: `www.google.com`.
        ///
        /// For the page, set the script of the widget with
        /// [`Widget::with_script_url`](human_check_core::Widget::with_script_url).
        #[must_use]
        pub fn with_recaptcha_net(mut self) -> Self {
            self.classic.endpoint = Endpoint::literal(SITEVERIFY_NET);
            self
        }

        /// Sets the names of the form fields that may hold the token, for pages that post it under
        /// another name. Default: `g-recaptcha-response`.
        ///
        /// The given names replace the default.
        #[must_use]
        pub fn with_form_fields<F: Into<String>>(
            mut self,
            fields: impl IntoIterator<Item = F>,
        ) -> Self {
            self.classic.provider = self.classic.provider.with_fields(fields);
            self
        }

        /// Opens the connections to Google that the allowed number of checks in flight needs, so that the
        /// first checks do not wait for one. See [`ProviderClient::prewarm`].
        ///
        /// Sends an empty GET, which uses no token. A reply with any status is a success. Dropping
        /// the future abandons the request.
        ///
        /// # Errors
        ///
        /// [`CheckError`] when no reply arrives within the client's limits.
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

/// Verifies tokens of reCAPTCHA v2 keys, checkbox or invisible. A valid token is a human; v2 has no
/// score and no action.
///
/// Verifying a token uses it up and Google has no idempotency key, so a request is repeated only
/// when no byte of the first one was sent. Beyond the monthly quota the check ends in
/// [`Declined`](ErrorKind::Declined).
///
/// ```
/// use human_check_core::{HumanCheck, Secret, Submission};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
/// use human_check_recaptcha::{RECAPTCHA_V2, RecaptchaV2};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ProviderClient::new(MockTransport::always(Reply::new(200, r#"{"success":true}"#)));
/// let check = RecaptchaV2::new(&client, Secret::new("secret-of-the-v2-key")?)?;
///
/// let submission = Submission::new().with_token(&RECAPTCHA_V2, "token-from-the-form");
/// assert!(check.check(&submission).await?.is_human());
/// # Ok(()) }
/// ```
///
/// See docs/providers/recaptcha.md#what-it-reports.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
#[derive(Clone, Debug)]
pub struct RecaptchaV2 {
    classic: Classic,
    allow_score: bool,
}

impl RecaptchaV2 {
    /// Creates a check with the secret of a v2 key.
    ///
    /// Sends nothing. The first check, or [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is Google's published test secret, unless the client
    /// [allows test keys](ProviderClient::with_test_keys). See docs/providers/recaptcha.md#test-keys.
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(client, &RECAPTCHA_V2, secret, client.test_keys())?,
            allow_score: false,
        })
    }

    /// Accepts replies that hold a score. Default: such a reply is `Misconfigured`, with the reason
    /// `score-in-v2`, because it shows that a v3 key is verified by the rules of v2.
    ///
    /// The score becomes a fact and does not decide. Use this for checkbox keys of Google Cloud if
    /// their replies hold a score; whether they do is not established.
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

    async fn probe_health(&self) -> Health {
        let mut probe = self.clone();
        probe.classic.client = self.classic.client.for_health_probe();
        Health::of(
            &probe
                .check(&junk_submission(&self.classic.provider, ""))
                .await,
        )
    }
}

/// Verifies tokens of reCAPTCHA v3 keys. A human has a score at or above a threshold.
///
/// v3 shows no challenge. `success` in its reply says that the token is genuine, and only the score
/// tells about the visitor. Set the action that the route expects, too, because a token of a
/// lenient page would otherwise pass on a strict one.
///
/// Verifying a token uses it up and Google has no idempotency key, so a request is repeated only
/// when no byte of the first one was sent. Beyond the monthly quota Google replies with a success
/// and a score of 0.9; the check then ends in [`Declined`](ErrorKind::Declined).
///
/// ```
/// use human_check_core::{HumanCheck, Reason, Score, Secret, Submission};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
/// use human_check_recaptcha::{RECAPTCHA_V3, RecaptchaV3};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reply = Reply::new(200, r#"{"success":true,"score":0.3,"action":"login"}"#);
/// let client = ProviderClient::new(MockTransport::always(reply));
/// let secret = Secret::new("secret-of-the-v3-key")?;
/// let check = RecaptchaV3::new(&client, secret, Score::humanity(0.5)?)?;
///
/// let submission = Submission::new()
///     .with_token(&RECAPTCHA_V3, "token-from-the-page")
///     .with_expected_action("login");
/// let verdict = check.check(&submission).await?;
/// let refusal = verdict.refusal().expect("a low score is refused");
/// assert_eq!(refusal.reason(), Reason::ScoreTooLow);
/// # Ok(()) }
/// ```
///
/// See docs/providers/recaptcha.md#what-it-reports.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
#[derive(Clone, Debug)]
pub struct RecaptchaV3 {
    classic: Classic,
    min_score: Score,
}

impl RecaptchaV3 {
    /// Creates a check with the secret of a v3 key. Scores below `min_score` are refused.
    ///
    /// Scores run from 0 (bot) to 1 (human). Google suggests to start with 0.5. Sends nothing. The
    /// first check, or [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is Google's published test secret, which is for v2 and has
    /// no scores.
    pub fn new(
        client: &ProviderClient,
        secret: Secret,
        min_score: Score,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            classic: Classic::new(client, &RECAPTCHA_V3, secret, TestKeyPolicy::Refused).map_err(
                |error| error.with_remedy("use the secret of a v3 key; a test can use an emulator"),
            )?,
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

    async fn probe_health(&self) -> Health {
        let mut probe = self.clone();
        probe.classic.client = self.classic.client.for_health_probe();
        Health::of(
            &probe
                .check(&junk_submission(&self.classic.provider, ""))
                .await,
        )
    }
}

/// The rules that [`judge_v2`] applies to a reply.
#[derive(Clone, Copy, Debug, Default)]
struct V2Rules {
    /// Whether the reply may hold a score.
    pub allow_score: bool,
    /// Whether a reply to the test secret may pass.
    pub test_keys: TestKeyPolicy,
}

/// The rules that [`judge_v3`] applies to a reply.
#[derive(Clone, Copy, Debug)]
struct V3Rules {
    /// The lowest score that passes.
    pub min_score: Score,
}

/// Turns a siteverify reply into a verdict, for a v2 key. See docs/providers/recaptcha.md#reply.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict. `Misconfigured` when it holds a score, because
/// the key is then one of v3.
fn judge_v2(reply: &Reply, rules: V2Rules) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&RECAPTCHA_V2, reply, classify)?;
    let has_score = body.score.is_stated();
    let facts = body.facts(&RECAPTCHA_V2, rules.test_keys)?;
    if refusal.is_none() && has_score && !rules.allow_score {
        return Err(misconfigured(&RECAPTCHA_V2, "score-in-v2"));
    }
    Ok(siteverify::conclude(facts, refusal, rules.test_keys))
}

/// Turns a siteverify reply into a verdict, for a v3 key. See docs/providers/recaptcha.md#reply.
///
/// `success` says that the token is genuine; the score decides. A reply without the member `action`
/// is refused, because every v3 reply has one (inferred), empty where the page set none.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict. `Misconfigured` for a success without a score,
/// because the key is then one of v2.
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
        // The member is empty when the page set no action. Without the member this is no v3 reply.
        (None, Some(_)) if !has_action => {
            Some(Refusal::new(Reason::EvidenceAbsent(FactKind::Action)).with_alert())
        }
        (None, Some(score)) => (!score.at_least(rules.min_score)).then(Refusal::for_score_alone),
    };
    Ok(siteverify::conclude(facts, refusal, TestKeyPolicy::Refused))
}

fn misconfigured(provider: &Provider, reason: &'static str) -> CheckError {
    CheckError::new(ErrorKind::Misconfigured, provider, reason)
}

/// Classifies an error code. See docs/providers/recaptcha.md#error-codes.
///
/// A wrong key of the operator causes `invalid-keys` for every visitor. A visitor can also cause it
/// with a token of another site, so it refuses and raises an alert.
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
        // Beyond the quota Google replies with a success, a fixed score of 0.9 and a code that
        // contains `quota`, which `siteverify` recognises.
        _ => CodeClass::Unknown,
    }
}

/// The body of a siteverify reply. See docs/providers/recaptcha.md#reply.
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
            // Google reports this host for the test secret, or where the key does not verify
            // origins. In both cases the operator has to correct the configuration.
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
