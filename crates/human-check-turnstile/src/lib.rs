#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod widget;

pub use widget::widget;

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, ErrorKind, EvidenceKind, FactKind, Facts,
    Hostname, HumanCheck, Provider, Reason, ReplayProtection, ReportedAction, Secret, Submission,
    TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Flag, Malformed, Mark, Object, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;
use uuid::Uuid;

/// Cloudflare Turnstile and the form field of its widget (turnstile.md section 1).
pub static TURNSTILE: Provider = Provider::new("turnstile", &["cf-turnstile-response"]);

/// Longer tokens are not Turnstile's (section 1).
pub const MAX_TOKEN_BYTES: usize = 2_048;

const SITEVERIFY: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";

/// Published secrets that pass, fail or call every token spent (section 7.2).
const TEST_SECRETS: [&str; 3] = [
    "1x0000000000000000000000000000000AA",
    "2x0000000000000000000000000000000AA",
    "3x0000000000000000000000000000000AA",
];

/// Asks Turnstile's siteverify.
///
/// The widget is named by the secret alone, so a token of another widget fails. Verifying spends
/// the token; a repeat after a lost reply is sound, since both carry one idempotency key that was
/// drawn for this check.
#[derive(Clone, Debug)]
pub struct Turnstile {
    client: ProviderClient,
    endpoint: Endpoint,
    provider: Provider,
    secret: Secret,
    /// `secret=…`, encoded once.
    encoded: Secret,
    test_keys: TestKeyPolicy,
}

impl Turnstile {
    /// Asks with the secret of one widget.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is one of the published testing secrets.
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        Self::with_test_keys(client, secret, TestKeyPolicy::Refused)
    }

    /// For tests only: also takes testing secrets, and lets their replies pass, marked as such.
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
        refuse_test_secret(&secret, &TEST_SECRETS, test_keys)?;
        let encoded = FormBody::with_capacity(128).pair("secret", secret.expose());
        Ok(Self {
            client: client.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: TURNSTILE.clone(),
            encoded: Secret::new(encoded.as_str())?,
            secret,
            test_keys,
        })
    }

    /// For pages that rename the widget's field (`data-response-field-name`).
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
        self.client.prewarm(&TURNSTILE, &self.endpoint).await
    }

    /// The request for a token (section 2). Draw a fresh key for each verification and repeat it
    /// only for that verification: the same key with the same token gives the first body again,
    /// so a key that could be derived from the token would let a token pass twice.
    fn build(&self, token: &str, submission: &Submission, idempotency_key: Uuid) -> Request {
        let mut key = Uuid::encode_buffer();
        let mut body = FormBody::starting_with(self.encoded.expose(), token.len() + 160)
            .pair("response", token)
            .pair(
                "idempotency_key",
                idempotency_key.hyphenated().encode_lower(&mut key),
            );
        if let Some(ip) = submission.client_ip() {
            body = body.pair("remoteip", &ip.to_string());
        }
        Request::form(&self.endpoint, body)
    }
}

#[async_trait]
impl HumanCheck for Turnstile {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Binding)
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let cap = self.client.limits().max_token_bytes.min(MAX_TOKEN_BYTES);
        let token = match submission.token_for(&TURNSTILE, cap) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&TURNSTILE, refusal),
        };
        let call = VerifyCall {
            provider: &TURNSTILE,
            submission,
            request: self.build(token, submission, Uuid::new_v4()),
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Idempotent,
        };
        self.client
            .verify(call, |reply| judge(reply, self.test_keys))
            .await
    }
}

/// What a reply of Turnstile's siteverify means (sections 3 to 5).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
fn judge(reply: &Reply, test_keys: TestKeyPolicy) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&TURNSTILE, reply, classify)?;
    let facts = body.facts().map_err(|malformed| {
        CheckError::new(ErrorKind::Protocol, &TURNSTILE, "unreadable-reply").with_source(malformed)
    })?;
    Ok(siteverify::conclude(facts, refusal, test_keys))
}

/// Section 4. Age and reuse share a code.
fn classify(code: &str) -> CodeClass {
    match code {
        "missing-input-secret"
        | "invalid-input-secret"
        | "invalid-widget-id"
        | "invalid-parsed-secret" => CodeClass::Misconfigured("secret"),
        "bad-request" => CodeClass::Misconfigured("request"),
        "internal-error" => CodeClass::Unavailable("internal-error"),
        "missing-input-response" => CodeClass::Refused(Reason::Missing),
        "invalid-input-response" => CodeClass::Refused(Reason::Invalid),
        "timeout-or-duplicate" => CodeClass::Refused(Reason::ExpiredOrReplayed),
        _ => CodeClass::Unknown,
    }
}

/// Section 3.1.
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
    action: Text<'a>,
    #[serde(borrow, default)]
    cdata: Text<'a>,
    #[serde(borrow, default)]
    metadata: Object<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    ephemeral_id: Text<'a>,
    #[serde(default)]
    interactive: Flag,
    #[serde(default)]
    result_with_testing_key: Mark,
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
    fn facts(self) -> Result<Facts, Malformed> {
        let mut facts = Facts::new(&TURNSTILE);
        facts.replay_protection = ReplayProtection::Provider;
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        facts.hostname = self.hostname.get().and_then(Hostname::parse);
        facts.action = self.action.owned().map(ReportedAction::exact);
        facts.binding = self.cdata.owned();
        if let Some(metadata) = self.metadata.or_malformed()? {
            facts.test_key = metadata.result_with_testing_key.is_raised();
            if metadata.interactive.get() == Some(true) {
                facts.evidence = EvidenceKind::Interactive;
            }
            if let Some(id) = metadata.ephemeral_id.owned() {
                facts.details.push(("ephemeral_id", DetailValue::Text(id)));
            }
        }
        Ok(facts)
    }
}
