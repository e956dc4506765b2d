use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, DetailValue, ErrorKind, FactKind, Facts, HumanCheck,
    Provider, Secret, Submission, Verdict,
};
use human_check_http::adapter::{CallOutcome, ResendPolicy, VerifyCall};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::annotate::{self, Annotation, AnnotationReason};
use crate::assessment;
use crate::credential::Credential;
use crate::google_error::UNAUTHENTICATED;
use crate::{KeyKind, RECAPTCHA_ENTERPRISE};

const GOOGLE: &str = "https://recaptchaenterprise.googleapis.com/";

/// reCAPTCHA Enterprise: createAssessment and annotate.
///
/// Assessing spends the token, so nothing is repeated once it was sent, with one exception: when
/// Google says 401 the token was not looked at, so an expired access token is renewed and the
/// request repeated once.
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
    /// Asks about tokens of `site_key`, in the Google Cloud project that owns it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the project or the site key is blank or cannot be one.
    pub fn new(
        client: &ProviderClient,
        project: impl Into<String>,
        site_key: impl Into<String>,
        credential: impl Into<Credential>,
        kind: KeyKind,
    ) -> Result<Self, ConfigError> {
        let (project, site_key) = (project.into(), site_key.into());
        // Both end in a path or next to a token; anything but a plain name would ask elsewhere.
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
            client: client.clone(),
            base: Endpoint::literal(GOOGLE),
            provider: RECAPTCHA_ENTERPRISE.clone(),
            project,
            site_key,
            credential: credential.into(),
            kind,
        })
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

    /// Opens a connection and fetches an access token before the first visitor needs them.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when Google cannot be reached or does not take the credential.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.credential.header(&self.client).await?;
        self.client.prewarm(&RECAPTCHA_ENTERPRISE, &self.base).await
    }

    /// The request for a token, without a credential (section 3.3).
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
            ("userAgent", submission.user_agent().map(str::to_owned)),
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

    /// Tells Google later what a visitor turned out to be (section 3.7).
    ///
    /// `facts` are those of the verdict. Give an annotation, reasons, or both.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when Google did not take it; `Misconfigured` also when the facts are not of
    /// an assessment.
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

    /// Asks once, and says with which credential.
    async fn ask(
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
        // Counted before, in case time runs out in between.
        attempts.fetch_add(1, Ordering::Relaxed);
        let asked = self.client.ask(call, judge).await;
        attempts.fetch_add(asked.attempts.saturating_sub(1), Ordering::Relaxed);
        Ok((asked.outcome, secret))
    }

    /// Asks, and once more with a new access token where Google did not take the old one.
    async fn assess(
        &self,
        token: &str,
        submission: &Submission,
        attempts: &AtomicU32,
    ) -> Result<Verdict, CheckError> {
        let (outcome, used) = self.ask(token, submission, attempts).await?;
        let rejected = outcome
            .as_ref()
            .is_err_and(|error| error.reason() == UNAUTHENTICATED);
        if !(rejected && self.credential.renew(&used).await) {
            return outcome;
        }
        self.ask(token, submission, attempts).await?.0
    }
}

#[async_trait]
impl HumanCheck for RecaptchaEnterprise {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        let reports = Capabilities::nothing()
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::SolvedAt);
        match self.kind {
            KeyKind::Score(_) => reports.always(FactKind::Score),
            KeyKind::Challenge | KeyKind::Checkbox => reports.sometimes(FactKind::Score),
        }
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let token = match submission
            .token_for(&RECAPTCHA_ENTERPRISE, self.client.limits().max_token_bytes)
        {
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
        let asked = CallOutcome { outcome, attempts };
        self.client
            .report(&RECAPTCHA_ENTERPRISE, &asked, start.elapsed());
        asked.outcome
    }
}
