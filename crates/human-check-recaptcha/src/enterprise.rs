use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, ErrorKind, FactKind, Facts, Health,
    HumanCheck, Provider, Reason, Secret, Submission, Verdict,
};
use human_check_http::adapter::{CallOutcome, ResendPolicy, VerifyCall};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::annotate::{self, Annotation, AnnotationReason};
use crate::assessment;
use crate::credential::Credential;
use crate::google_error::UNAUTHENTICATED;
use crate::{KeyKind, RECAPTCHA_ENTERPRISE, TOKEN_FORMAT};

const GOOGLE: &str = "https://recaptchaenterprise.googleapis.com/";

/// Characters that browsers do not have in their names. A visitor chooses the name, and a firewall
/// in front of the service could reply to one of these with a status that looks like an outage.
const SUSPICIOUS: [char; 12] = ['"', '\'', '<', '>', '`', '{', '}', '$', '%', '\\', '|', '^'];

/// Verifies tokens of reCAPTCHA Enterprise keys with the call createAssessment.
///
/// Its [`KeyKind`] decides which valid tokens count as human. [`annotate`](Self::annotate) tells
/// Google later what a visitor turned out to be.
///
/// An assessment uses the token up, so a request is repeated only when no byte of the first one was
/// sent. There is one exception: after status 401 Google did not use the token (inferred), so the
/// check renews the access token and repeats the request once.
///
/// ```
/// use human_check_core::{HumanCheck, Score, Secret, Submission};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
/// use human_check_recaptcha::{Credential, KeyKind, RECAPTCHA_ENTERPRISE, RecaptchaEnterprise};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let assessment = r#"{"tokenProperties":{"valid":true},"riskAnalysis":{"score":0.9}}"#;
/// let client = ProviderClient::new(MockTransport::always(Reply::new(200, assessment)));
/// let key = Credential::api_key(Secret::new("AIza-the-api-key")?)?;
/// let kind = KeyKind::Score(Score::humanity(0.5)?);
/// let check = RecaptchaEnterprise::new(&client, "my-project-123", "site-key", key, kind)?;
///
/// let submission = Submission::new().with_token(&RECAPTCHA_ENTERPRISE, "token-from-the-page");
/// assert!(check.check(&submission).await?.is_human());
/// # Ok(()) }
/// ```
///
/// See docs/providers/recaptcha.md#enterprise.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
#[derive(Clone, Debug)]
pub struct RecaptchaEnterprise {
    client: ProviderClient,
    base: Endpoint,
    provider: Provider,
    project: String,
    site_key: String,
    credential: Credential,
    kind: KeyKind,
}

impl RecaptchaEnterprise {
    /// Creates a check for the tokens of `site_key`. `project` is the id or the number of the
    /// Google Cloud project that owns the key.
    ///
    /// Sends nothing. The first check, or [`prewarm`](Self::prewarm), signs in and opens a
    /// connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the project or the site key is empty or holds other characters than
    /// ASCII letters, digits and `-_.:`.
    pub fn new(
        client: &ProviderClient,
        project: impl Into<String>,
        site_key: impl Into<String>,
        credential: impl Into<Credential>,
        kind: KeyKind,
    ) -> Result<Self, ConfigError> {
        let (project, site_key) = (project.into(), site_key.into());
        // The project becomes a part of the path, where `/` or `..` would lead to another call.
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
                && !text.contains("..")
        };
        if !plain(&project) {
            return Err(ConfigError::new(
                "project",
                "is not a project id or number",
                "copy it from the Google Cloud console, like `my-project-123`",
            ));
        }
        if !plain(&site_key) {
            return Err(ConfigError::new(
                "site_key",
                "is not a site key",
                "copy the key's id from the reCAPTCHA page of the Google Cloud console",
            ));
        }
        Ok(Self {
            client: client.for_adapter(),
            base: Endpoint::literal(GOOGLE),
            provider: RECAPTCHA_ENTERPRISE.clone(),
            project,
            site_key,
            credential: credential.into(),
            kind,
        })
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
        self.provider = self.provider.with_fields(fields);
        self
    }

    /// Fetches an access token and opens a connection to Google, so that the first check does not
    /// wait for them.
    ///
    /// Makes no assessment, so it does not show whether Google accepts an API key. Dropping the
    /// future abandons the connection.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when signing in fails, or when no reply arrives within the client's limits.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.credential.header(&self.client).await?;
        self.client.prewarm(&RECAPTCHA_ENTERPRISE, &self.base).await
    }

    /// Builds the request for a token, without a credential.
    ///
    /// See docs/providers/recaptcha.md#request.
    fn build(&self, token: &str, submission: &Submission) -> Request {
        let mut event = Map::new();
        event.insert("token".into(), token.into());
        event.insert("siteKey".into(), self.site_key.as_str().into());
        let optional = [
            (
                "expectedAction",
                submission.expected_action().map(str::to_owned),
            ),
            (
                "userIpAddress",
                submission.client_ip().map(|ip| ip.to_string()),
            ),
            (
                "userAgent",
                submission
                    .user_agent()
                    .filter(|agent| !agent.contains(SUSPICIOUS))
                    .map(str::to_owned),
            ),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                event.insert(name.into(), value.into());
            }
        }
        let mut body = Map::new();
        body.insert("event".into(), Value::Object(event));
        let path = format!("v1/projects/{}/assessments", self.project);
        Request::json(&self.base.at_path(&path), &body.into())
    }

    /// Tells Google what the visitor of an earlier verdict turned out to be. Google uses that to
    /// improve its scores.
    ///
    /// `facts` are the facts of that verdict, whose detail `name` names the assessment. Give an
    /// annotation, reasons, or both. Dropping the future leaves the annotation made or not.
    ///
    /// ```
    /// use human_check_core::{CheckError, Facts};
    /// use human_check_recaptcha::{Annotation, AnnotationReason, RecaptchaEnterprise};
    ///
    /// async fn refunded(check: &RecaptchaEnterprise, facts: &Facts) -> Result<(), CheckError> {
    ///     let reasons = [AnnotationReason::RefundFraud];
    ///     check.annotate(facts, Some(Annotation::Fraudulent), &reasons).await
    /// }
    /// ```
    ///
    /// See docs/providers/recaptcha.md#enterprise.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the call failed. `Misconfigured` with the reason `assessment-name` when
    /// the facts do not name an assessment.
    pub async fn annotate(
        &self,
        facts: &Facts,
        annotation: Option<Annotation>,
        reasons: &[AnnotationReason],
    ) -> Result<(), CheckError> {
        let no_name = || {
            CheckError::new(
                ErrorKind::Misconfigured,
                &RECAPTCHA_ENTERPRISE,
                "assessment-name",
            )
        };
        let name = facts
            .detail("name")
            .and_then(DetailValue::as_str)
            .ok_or_else(no_name)?;
        let path = annotate::path(name).ok_or_else(no_name)?;
        let request = annotate::build(&self.base.at_path(&path), annotation, reasons);
        self.client
            .within_total_timeout(&RECAPTCHA_ENTERPRISE, async {
                let (header, value, secret) = self.credential.header(&self.client).await?;
                let request = request.with_secret_header(header, value);
                self.client
                    .call(
                        &RECAPTCHA_ENTERPRISE,
                        request,
                        &[secret.expose()],
                        annotate::read,
                    )
                    .await
            })
            .await
    }

    /// Creates one assessment, and returns its outcome with the secret that signed the request.
    ///
    /// `attempts` counts the requests that were sent.
    async fn assess_once(
        &self,
        token: &str,
        submission: &Submission,
        attempts: &AtomicU32,
    ) -> Result<(Result<Verdict, CheckError>, Secret), CheckError> {
        let (header, value, secret) = self.credential.header(&self.client).await?;
        let call = VerifyCall {
            provider: &RECAPTCHA_ENTERPRISE,
            submission,
            request: self
                .build(token, submission)
                .with_secret_header(header, value),
            secrets: &[token, secret.expose()],
            resend: ResendPolicy::Unsent,
        };
        let judge = |reply: &Reply| assessment::judge(reply, self.kind);
        // Counted before the call, because the total timeout may drop this future in between.
        attempts.fetch_add(1, Ordering::Relaxed);
        let call_outcome = self.client.ask(call, judge).await;
        attempts.fetch_add(call_outcome.attempts.saturating_sub(1), Ordering::Relaxed);
        Ok((call_outcome.outcome, secret))
    }

    /// Creates an assessment, and once more with a new access token when Google rejected the first
    /// one.
    async fn assess(
        &self,
        token: &str,
        submission: &Submission,
        attempts: &AtomicU32,
    ) -> Result<Verdict, CheckError> {
        let (outcome, used) = self.assess_once(token, submission, attempts).await?;
        let rejected = outcome
            .as_ref()
            .is_err_and(|error| error.reason() == UNAUTHENTICATED);
        if !(rejected && self.credential.renew(&used).await) {
            return outcome;
        }
        self.assess_once(token, submission, attempts).await?.0
    }
}

#[async_trait]
impl HumanCheck for RecaptchaEnterprise {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::nothing()
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt);
        match self.kind {
            KeyKind::Score(_) => capabilities.always(FactKind::Score),
            KeyKind::Challenge(_) | KeyKind::Checkbox => capabilities.sometimes(FactKind::Score),
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match TOKEN_FORMAT.read(submission, &RECAPTCHA_ENTERPRISE) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&RECAPTCHA_ENTERPRISE, refusal),
        };
        let start = Instant::now();
        let attempts = AtomicU32::new(0);
        let assessed = self.assess(token, submission, &attempts);
        let outcome = self
            .client
            .within_total_timeout(&RECAPTCHA_ENTERPRISE, assessed)
            .await;
        let attempts = attempts.into_inner();
        let call_outcome = CallOutcome { outcome, attempts };
        self.client
            .report(&RECAPTCHA_ENTERPRISE, &call_outcome, start.elapsed());
        call_outcome.outcome
    }

    async fn probe_health(&self) -> Health {
        let probe = Self {
            client: self.client.for_health_probe(),
            ..self.clone()
        };
        match probe.check(&junk_submission(&self.provider, "")).await {
            // The provider itself says so of tokens that it has not issued.
            Ok(Verdict::NotHuman(refusal)) if refusal.reason() == Reason::Malformed => Health::Up,
            outcome => Health::of(&outcome),
        }
    }
}
