#![doc = include_str!("../README.md")]

mod widget;

pub use widget::widget;

use async_trait::async_trait;
use human_check_core::{
    Action, Assurance, CheckError, ConfigError, Detail, ErrorKind, Fact, Facts, Hostname,
    HumanCheck, Provider, Reason, Reports, Secret, SingleUse, Submission, TestingCredentials,
    Verdict,
};
use human_check_http::json::{Codes, Flag, Malformed, Mark, Object, Text};
use human_check_http::siteverify::{self, Blame};
use human_check_http::{Endpoint, Exchange, FormBody, Question, Reply, Request, Retry, timestamp};
use serde::Deserialize;
pub use uuid::Uuid;

/// Cloudflare Turnstile and the form field of its widget (turnstile.md section 1).
pub static TURNSTILE: Provider = Provider::new("turnstile", &["cf-turnstile-response"]);

/// Longer tokens are not Turnstile's (section 1).
pub const TOKEN_CAP: usize = 2_048;

const SITEVERIFY: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";

/// Published secrets that pass, fail or call every token spent (section 7.2).
const TESTING_SECRETS: [&str; 3] = [
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
    exchange: Exchange,
    endpoint: Endpoint,
    provider: Provider,
    secret: Secret,
    /// `secret=…`, encoded once.
    encoded: Secret,
    testing: TestingCredentials,
}

impl Turnstile {
    /// Asks with the secret of one widget.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret is one of the published testing secrets.
    pub fn new(exchange: &Exchange, secret: Secret) -> Result<Self, ConfigError> {
        if TESTING_SECRETS.contains(&secret.expose()) {
            return Err(ConfigError::new(
                "secret",
                "is a testing secret of Turnstile, whose answer does not depend on the visitor",
                "use the secret of your widget, or `Turnstile::for_testing` in tests",
            ));
        }
        Self::build_with(exchange, secret, TestingCredentials::Refused)
    }

    /// For tests only: also takes testing secrets, and lets their answers pass, marked as such.
    ///
    /// # Errors
    ///
    /// None today; the type is that of [`new`](Self::new).
    pub fn for_testing(exchange: &Exchange, secret: Secret) -> Result<Self, ConfigError> {
        Self::build_with(exchange, secret, TestingCredentials::Allowed)
    }

    fn build_with(
        exchange: &Exchange,
        secret: Secret,
        testing: TestingCredentials,
    ) -> Result<Self, ConfigError> {
        let encoded = FormBody::with_capacity(128).pair("secret", secret.expose());
        Ok(Self {
            exchange: exchange.clone(),
            endpoint: Endpoint::literal(SITEVERIFY),
            provider: TURNSTILE.clone(),
            encoded: Secret::new(encoded.as_str())?,
            secret,
            testing,
        })
    }

    /// Asks somewhere else, such as an emulator.
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
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
    /// [`CheckError`] when the vendor cannot be reached.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.exchange.prewarm(&TURNSTILE, &self.endpoint).await
    }

    /// The request for a token (section 2). Draw a fresh key for each verification and repeat it
    /// only for that verification: the same key with the same token gives the first answer again,
    /// so a key that could be derived from the token would let a token pass twice.
    pub fn build(&self, token: &str, submission: &Submission, idempotency_key: Uuid) -> Request {
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
    fn accepts(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn reports(&self) -> Reports {
        Reports::nothing()
            .sometimes(Fact::Action)
            .sometimes(Fact::Binding)
            .sometimes(Fact::Hostname)
            .sometimes(Fact::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let cap = self.exchange.limits().token_bytes.min(TOKEN_CAP);
        let token = match submission.token(&TURNSTILE, cap) {
            Ok(token) => token,
            Err(refusal) => return self.exchange.refuse(&TURNSTILE, refusal),
        };
        let question = Question {
            provider: &TURNSTILE,
            submission,
            request: self.build(token, submission, Uuid::new_v4()),
            secrets: &[token, self.secret.expose()],
            retry: Retry::Idempotent,
        };
        self.exchange
            .verify(question, |reply| judge(reply, self.testing))
            .await
    }
}

/// What a reply of Turnstile's siteverify means (sections 3 to 5).
///
/// # Errors
///
/// [`CheckError`] when it is neither yes nor no.
pub fn judge(reply: &Reply, testing: TestingCredentials) -> Result<Verdict, CheckError> {
    let (answer, refusal) = siteverify::read::<Answer<'_>>(&TURNSTILE, reply, blame)?;
    let facts = answer.facts().map_err(|malformed| {
        CheckError::new(ErrorKind::Protocol, &TURNSTILE, "unreadable-reply").with_source(malformed)
    })?;
    Ok(siteverify::conclude(facts, refusal, testing))
}

/// Section 4. Age and reuse share a code.
fn blame(code: &str) -> Blame {
    match code {
        "missing-input-secret"
        | "invalid-input-secret"
        | "invalid-widget-id"
        | "invalid-parsed-secret" => Blame::Owner("secret"),
        "bad-request" => Blame::Owner("request"),
        "internal-error" => Blame::Vendor("internal-error"),
        "missing-input-response" => Blame::Visitor(Reason::Missing),
        "invalid-input-response" => Blame::Visitor(Reason::Invalid),
        "timeout-or-duplicate" => Blame::Visitor(Reason::ExpiredOrSpent),
        _ => Blame::Unknown,
    }
}

/// Section 3.1.
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

impl siteverify::Answer for Answer<'_> {
    fn success(&self) -> Option<bool> {
        self.success
    }

    fn codes(&self) -> &Codes {
        &self.codes
    }
}

impl Answer<'_> {
    fn facts(self) -> Result<Facts, Malformed> {
        let mut facts = Facts::new(&TURNSTILE);
        facts.single_use = SingleUse::Vendor;
        facts.solved_at = self.challenge_ts.get().and_then(timestamp);
        facts.hostname = self.hostname.get().and_then(Hostname::parse);
        facts.action = self.action.owned().map(Action::exact);
        facts.binding = self.cdata.owned();
        if let Some(metadata) = self.metadata.or_malformed()? {
            facts.testing_credentials = metadata.result_with_testing_key.is_raised();
            if metadata.interactive.get() == Some(true) {
                facts.assurance = Assurance::Interactive;
            }
            if let Some(id) = metadata.ephemeral_id.owned() {
                facts.details.push(("ephemeral_id", Detail::Text(id)));
            }
        }
        Ok(facts)
    }
}
