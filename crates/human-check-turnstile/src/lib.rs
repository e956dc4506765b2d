#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod widget;

pub use widget::widget;

use std::hash::{BuildHasher, Hasher, RandomState};

use async_trait::async_trait;
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, ErrorKind, EvidenceKind, FactKind, Facts,
    Health, Hostname, HumanCheck, Provider, Reason, ReplayProtection, ReportedAction, Secret,
    Submission, TestKeyPolicy, Verdict,
};
use human_check_http::adapter::json::{Codes, Flag, Malformed, Mark, Object, Text};
use human_check_http::adapter::siteverify::{self, CodeClass};
use human_check_http::adapter::{
    FormBody, ResendPolicy, TokenFormat, VerifyCall, refuse_test_secret, timestamp,
};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;
use uuid::Uuid;

/// The provider Cloudflare Turnstile, with the form field of its widget, `cf-turnstile-response`.
///
/// See docs/providers/turnstile.md#tokens.
pub static TURNSTILE: Provider = Provider::new("turnstile", &["cf-turnstile-response"]);

/// The maximum length of a Turnstile token: 2,048 bytes. [`Turnstile`] refuses a longer token as
/// `malformed`, without a call.
///
/// See docs/providers/turnstile.md#tokens.
pub const MAX_TOKEN_BYTES: usize = 2_048;

const TOKEN: TokenFormat = TokenFormat::new(MAX_TOKEN_BYTES);

const SITEVERIFY: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";

/// Published test secrets: one passes every token, one fails it, and one reports it as used.
///
/// See docs/providers/turnstile.md#test-keys.
const TEST_SECRETS: [&str; 3] = [
    "1x0000000000000000000000000000000AA",
    "2x0000000000000000000000000000000AA",
    "3x0000000000000000000000000000000AA",
];

/// Verifies Turnstile tokens with Cloudflare's siteverify call.
///
/// The secret identifies the widget, so a token of another widget is refused. Verifying a token
/// uses it up. A request whose reply was lost is sent once more with the same idempotency key,
/// which is a random UUID for each check: Cloudflare then repeats its first reply.
///
/// Turnstile reports no score. Add [`Policy`](human_check_core::Policy) rules for the host and the
/// action.
///
/// ```
/// use human_check_core::{HumanCheck, Secret, Submission};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
/// use human_check_turnstile::{TURNSTILE, Turnstile};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reply = Reply::new(200, r#"{"success":true,"action":"signup"}"#);
/// let client = ProviderClient::new(MockTransport::always(reply));
/// let check = Turnstile::new(&client, Secret::new("0x4AAAAAAA-the-secret-of-the-widget")?)?;
///
/// let submission = Submission::new()
///     .with_token(&TURNSTILE, "token-from-the-form")
///     .with_expected_action("signup");
/// assert!(check.check(&submission).await?.is_human());
/// # Ok(()) }
/// ```
///
/// See docs/providers/turnstile.md#request.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
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
    /// Creates a check with the secret of one widget.
    ///
    /// Sends nothing. The first check, or [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is one of Cloudflare's published test secrets, unless the client
    /// [allows test keys](ProviderClient::with_test_keys). See docs/providers/turnstile.md#test-keys.
    pub fn new(client: &ProviderClient, secret: Secret) -> Result<Self, ConfigError> {
        let test_keys = client.test_keys();
        refuse_test_secret(&secret, &TEST_SECRETS, test_keys)?;
        let encoded = FormBody::with_capacity(128).pair("secret", secret.expose());
        Ok(Self {
            client: client.for_adapter(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: TURNSTILE.clone(),
            encoded: Secret::new(encoded.as_str())?,
            secret,
            test_keys,
        })
    }

    /// Sets the names of the form fields that may hold the token, for pages that rename the
    /// widget's field with `data-response-field-name`. Default: `cf-turnstile-response`.
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

    /// Opens the connections to Cloudflare that the allowed number of checks in flight needs, so that the
    /// first checks do not wait for one. See [`ProviderClient::prewarm`].
    ///
    /// Sends an empty GET, which uses no token. A reply with any status is a success. Dropping the
    /// future abandons the request.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no reply arrives within the client's limits.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.client.prewarm(&TURNSTILE, &self.endpoint).await
    }

    /// Builds the request for a token.
    ///
    /// `idempotency_key` must be random for each verification, and used again only for the repeat
    /// of that verification. Cloudflare repeats its first reply to the same key and token, so a
    /// key derived from the token would let a replay pass.
    ///
    /// See docs/providers/turnstile.md#request.
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
        let token = match TOKEN.read(submission, &TURNSTILE) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&TURNSTILE, refusal),
        };
        let call = VerifyCall {
            provider: &TURNSTILE,
            submission,
            request: self.build(token, submission, idempotency_key()),
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Idempotent,
        };
        self.client
            .verify(call, |reply| judge(reply, self.test_keys))
            .await
    }

    async fn probe_health(&self) -> Health {
        let probe = Self {
            client: self.client.for_health_probe(),
            ..self.clone()
        };
        Health::of(&probe.check(&junk_submission(&TURNSTILE, "")).await)
    }
}

/// Returns a key that is random for each verification.
///
/// The standard library seeds its hash keys from the operating system once for each thread. That is
/// enough for a key that a client neither sees nor chooses, and needs no system call for each check.
fn idempotency_key() -> Uuid {
    let random = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random());
    bytes[8..].copy_from_slice(&random());
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Turns a siteverify reply into a verdict. See docs/providers/turnstile.md#reply.
///
/// # Errors
///
/// [`CheckError`] when the reply holds no verdict.
fn judge(reply: &Reply, test_keys: TestKeyPolicy) -> Result<Verdict, CheckError> {
    let (body, refusal) = siteverify::read::<SiteverifyReply<'_>>(&TURNSTILE, reply, classify)?;
    let facts = body.facts().map_err(|malformed| {
        CheckError::new(ErrorKind::Protocol, &TURNSTILE, "unreadable-reply").with_source(malformed)
    })?;
    Ok(siteverify::conclude(facts, refusal, test_keys))
}

/// Classifies an error code. Turnstile reports expired and replayed tokens with one code.
///
/// See docs/providers/turnstile.md#error-codes.
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

/// The body of a siteverify reply. See docs/providers/turnstile.md#reply.
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

/// The member `metadata`. A mark of test keys is in it, so a `metadata` that is no object makes the
/// reply unreadable.
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
