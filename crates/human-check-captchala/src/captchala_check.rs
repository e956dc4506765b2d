use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use human_check_core::{
    Capabilities, Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ConfigError, ErrorKind,
    FactKind, HumanCheck, Provider, Secret, Submission, Verdict,
};
use human_check_http::adapter::{ResendPolicy, VerifyCall};
use human_check_http::{Endpoint, ProviderClient, Request};
use serde_json::{Map, Value, json};

use crate::token_kind::{OfflineTokens, TokenKind, screen};
use crate::validate::judge;
use crate::{CAPTCHALA, ServerToken, ServerTokenRequest, server_token};

/// Longer tokens are not CaptchaLa's. The provider publishes no limit; this one is inferred.
pub const MAX_TOKEN_BYTES: usize = 4_096;

const VALIDATE: &str = "https://apiv1.captcha.la/v1/validate";
const BACKUP: &str = "https://fallbackapiv1.captchala.com/api/validate";
const ISSUE: &str = "https://apiv1.captcha.la/v1/server/challenge/issue";

const APP_KEY: HeaderName = HeaderName::from_static("x-app-key");
const APP_SECRET: HeaderName = HeaderName::from_static("x-app-secret");

/// Asks CaptchaLa's validate.
///
/// What happens to a token depends on its prefix (section 5), and a visitor chooses that, so:
///
/// | prefix | what it is | here |
/// | --- | --- | --- |
/// | `pt_` | a pass token | asked about |
/// | `dg_` | handed out when the quota is spent, always invalid | `Declined`, never asked about |
/// | `offline_` | from the provider's backup service | refused, unless [opted in](Self::with_offline_tokens) |
/// | `client_`, `co_` | made by the browser alone, anybody can type one | refused |
/// | `sct_`, others | not a pass token | refused |
///
/// The provider's own libraries call any `client_` token valid; this one never does.
#[derive(Clone, Debug)]
pub struct CaptchaLa {
    client: ProviderClient,
    provider: Provider,
    validate: Endpoint,
    backup: Endpoint,
    issue: Endpoint,
    app_key: HeaderValue,
    app_secret: HeaderValue,
    secret: Secret,
    offline: OfflineTokens,
}

impl CaptchaLa {
    /// Asks for one app.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the app key is blank or does not fit in a header.
    pub fn new(
        client: &ProviderClient,
        app_key: &str,
        app_secret: Secret,
    ) -> Result<Self, ConfigError> {
        if app_key.trim().is_empty() {
            return Err(ConfigError::new(
                "app_key",
                "is empty",
                "copy the app key from CaptchaLa's dashboard",
            ));
        }
        let mut header = Request::header_value("app_secret", app_secret.expose())?;
        header.set_sensitive(true);
        Ok(Self {
            client: client.clone(),
            provider: CAPTCHALA.clone(),
            validate: Endpoint::literal(VALIDATE),
            backup: Endpoint::literal(BACKUP),
            issue: Endpoint::literal(ISSUE),
            app_key: Request::header_value("app_key", app_key)?,
            app_secret: header,
            secret: app_secret,
            offline: OfflineTokens::Refused,
        })
    }

    /// Also asks about `offline_` tokens, at the provider's backup service on another domain.
    ///
    /// The visitor decides to use that path, and its replies may lack action and uid; a route that
    /// expects those then refuses. Human verdicts carry the detail `offline`.
    #[must_use]
    pub fn with_offline_tokens(mut self) -> Self {
        self.offline = OfflineTokens::Accepted;
        self
    }

    /// For pages that post the token under other names, such as `captcha_token`.
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
        self.client.prewarm(&CAPTCHALA, &self.validate).await
    }

    /// The request for a token (section 4.1). It consumes the token: keeping it would let it pass again.
    fn build(&self, token: &str, submission: &Submission) -> Request {
        let mut body = Map::new();
        body.insert("pass_token".into(), token.into());
        body.insert("keep_token".into(), false.into());
        if let Some(ip) = submission.client_ip() {
            body.insert("client_ip".into(), ip.to_string().into());
        }
        let endpoint = match TokenKind::of(token) {
            TokenKind::Offline => &self.backup,
            _ => &self.validate,
        };
        self.request(endpoint, body)
    }

    /// Mints a server token, which makes the page's challenge one that we asked for (section 9).
    ///
    /// Success also shows that key and secret are right.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when none could be had.
    pub async fn issue_server_token(
        &self,
        request: &ServerTokenRequest,
    ) -> Result<ServerToken, CheckError> {
        let request = self.request(&self.issue, request.body());
        let secrets = [self.secret.expose()];
        self.client
            .call(&CAPTCHALA, request, &secrets, server_token::read)
            .await
    }

    fn request(&self, endpoint: &Endpoint, body: Map<String, Value>) -> Request {
        Request::json(endpoint, &body.into())
            .with_header(APP_KEY, self.app_key.clone())
            .with_secret_header(APP_SECRET, self.app_secret.clone())
    }
}

#[async_trait]
impl HumanCheck for CaptchaLa {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.provider)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .sometimes(FactKind::Action)
            .sometimes(FactKind::Binding)
            .sometimes(FactKind::Hostname)
            .sometimes(FactKind::Score)
            .sometimes(FactKind::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let cap = self.client.limits().max_token_bytes.min(MAX_TOKEN_BYTES);
        let token = match submission.token_for(&CAPTCHALA, cap) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&CAPTCHALA, refusal),
        };
        match screen(token, self.offline) {
            Ok(None) => {}
            Ok(Some(refusal)) => return self.client.refuse(&CAPTCHALA, refusal),
            Err(error) => return self.client.fail(&CAPTCHALA, error),
        }
        let call = VerifyCall {
            provider: &CAPTCHALA,
            submission,
            request: self.build(token, submission),
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Unsent,
        };
        let offline = TokenKind::of(token) == TokenKind::Offline;
        self.client
            .verify(call, |reply| judge(reply, offline))
            .await
    }
}

#[async_trait]
impl ChallengeIssuer for CaptchaLa {
    fn provider(&self) -> &Provider {
        &CAPTCHALA
    }

    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        let action = request.action().unwrap_or_default();
        let mut wanted = ServerTokenRequest::new(action)
            .map_err(|error| {
                CheckError::new(ErrorKind::Misconfigured, &CAPTCHALA, "action-missing")
                    .with_source(error)
            })?
            .with_max_uses(3);
        if let Some(uid) = request.binding() {
            wanted = wanted.with_uid(uid);
        }
        let issued = self.issue_server_token(&wanted).await?;
        let challenge = Challenge::new(json!({"server_token": issued.token}).to_string());
        Ok(match issued.expires_in {
            Some(ttl) => challenge.with_ttl(ttl),
            None => challenge,
        })
    }
}
