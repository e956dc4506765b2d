use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, Challenge, ChallengeIssuer, ChallengeRequest, CheckError, ConfigError, ErrorKind,
    FactKind, Health, HumanCheck, Provider, Secret, Submission, Verdict,
};
use human_check_http::adapter::{ResendPolicy, TokenFormat, VerifyCall};
use human_check_http::{Endpoint, ProviderClient, Request};
use serde_json::{Map, Value, json};

use crate::token_kind::{OfflineTokens, TokenKind, screen};
use crate::validate::judge;
use crate::{CAPTCHALA, ServerToken, ServerTokenRequest, server_token};

/// The maximum length of a CaptchaLa token: 4,096 bytes (inferred). [`CaptchaLa`] refuses a longer
/// token as `malformed`, without a call.
///
/// See docs/providers/captchala.md#tokens.
pub const MAX_TOKEN_BYTES: usize = 4_096;

const TOKEN: TokenFormat = TokenFormat::new(MAX_TOKEN_BYTES);

const VALIDATE: &str = "https://apiv1.captcha.la/v1/validate";
const BACKUP: &str = "https://fallbackapiv1.captchala.com/api/validate";
const ISSUE: &str = "https://apiv1.captcha.la/v1/server/challenge/issue";

const APP_KEY: HeaderName = HeaderName::from_static("x-app-key");
const APP_SECRET: HeaderName = HeaderName::from_static("x-app-secret");

/// Verifies CaptchaLa tokens with the provider's validate call, and issues server tokens.
///
/// The prefix of a token tells its kind. A visitor can type any prefix, so each kind is treated by
/// what it can prove:
///
/// | prefix | what it is | result |
/// | --- | --- | --- |
/// | `pt_` | a pass token of the service | verified |
/// | `dg_` | made while the quota is exhausted, always invalid | sent to the provider, whose reply `degraded` is [`Declined`](ErrorKind::Declined) |
/// | `offline_` | made by the provider's backup service | refused, or verified after [`with_offline_tokens`](Self::with_offline_tokens) |
/// | `client_`, `co_` | made by the browser alone | refused, without a call |
/// | `sct_`, others | no pass token | refused, without a call |
///
/// The provider's own libraries accept every `client_` token without a call (observed). This
/// adapter never does.
///
/// Expect an action with every submission, because CaptchaLa does not know which action a route
/// expects. Verifying a token uses it up, so a request is repeated only when no byte of the first
/// one was sent.
///
/// ```
/// use human_check_captchala::{CAPTCHALA, CaptchaLa};
/// use human_check_core::{HumanCheck, Secret, Submission};
/// use human_check_http::{MockTransport, ProviderClient, Reply};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let reply = Reply::new(200, r#"{"code":0,"data":{"valid":true,"action":"login"}}"#);
/// let client = ProviderClient::new(MockTransport::always(reply));
/// let check = CaptchaLa::new(&client, "app_key_of_the_page", Secret::new("sec_of_the_server")?)?;
///
/// let submission = Submission::new()
///     .with_token(&CAPTCHALA, "pt_token_from_the_form")
///     .with_expected_action("login");
/// assert!(check.check(&submission).await?.is_human());
/// # Ok(()) }
/// ```
///
/// See docs/providers/captchala.md#token-kinds.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
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
    /// Creates a check for one app, with its app key and app secret.
    ///
    /// The app key is public and stands in pages, too. Sends nothing. The first check, or
    /// [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the app key is blank, or one of the two holds characters that no header
    /// may hold.
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
            client: client.for_adapter(),
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

    /// Also verifies `offline_` tokens, at the provider's backup service. Default: they are
    /// refused.
    ///
    /// Consider before using this:
    ///
    /// - The visitor chooses this path by the prefix of the token.
    /// - The app secret is sent to a second host, of another domain.
    /// - Its replies may lack the action and the user id. A route that expects those refuses.
    ///
    /// Human verdicts carry the detail `offline`, so that a handler can treat them differently.
    ///
    /// See docs/providers/captchala.md#offline-tokens.
    #[must_use]
    pub fn with_offline_tokens(mut self) -> Self {
        self.offline = OfflineTokens::Accepted;
        self
    }

    /// Sets the names of the form fields that may hold the token, for pages that post it under
    /// another name, such as `captcha_token`. Default: `captchala_token`.
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

    /// Opens the connections to CaptchaLa that the allowed number of checks in flight needs, so that the
    /// first checks do not wait for one. See [`ProviderClient::prewarm`].
    ///
    /// Sends an empty GET, which uses no token. A reply with any status is a success. Dropping the
    /// future abandons the request.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no reply arrives within the client's limits.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.client.prewarm(&CAPTCHALA, &self.validate).await
    }

    /// Builds the request for a token. It says `keep_token: false`, because a token that the
    /// provider keeps would pass again.
    ///
    /// See docs/providers/captchala.md#request.
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

    /// Issues a server token for a page. The page's challenge is then tied to the action and the
    /// user of `request`.
    ///
    /// Give the token to the widget as its data `server-token`. A success also shows that the app
    /// key and the app secret are right. Dropping the future may leave an unused server token at
    /// the provider, which does no harm.
    ///
    /// ```
    /// use human_check_captchala::{CaptchaLa, ServerTokenRequest};
    ///
    /// async fn for_the_page(check: &CaptchaLa) -> Result<String, Box<dyn std::error::Error>> {
    ///     let request = ServerTokenRequest::new("login")?.with_uid("user-42").with_max_uses(3);
    ///     Ok(check.issue_server_token(&request).await?.token)
    /// }
    /// ```
    ///
    /// See docs/providers/captchala.md#server-tokens.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the provider issued none. `Misconfigured` for a wrong key or secret.
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

    /// Builds a JSON request that is signed with the app key and the app secret.
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
        let token = match TOKEN.read(submission, &CAPTCHALA) {
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(&CAPTCHALA, refusal),
        };
        if let Err(refusal) = screen(token, self.offline) {
            return self.client.refuse(&CAPTCHALA, refusal);
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

    async fn probe_health(&self) -> Health {
        let probe = Self {
            client: self.client.for_health_probe(),
            ..self.clone()
        };
        Health::of(&probe.check(&junk_submission(&CAPTCHALA, "pt_")).await)
    }
}

/// Issues a server token for each challenge, as the JSON text `{"server_token":"sct_…"}`.
///
/// The token allows three uses, because the widget starts one challenge ahead. The binding of the
/// request becomes its user id. It is tied to no address; [`ServerTokenRequest::with_client_ip`]
/// says why. The request must name an action: without one, `issue` fails with `Misconfigured`,
/// reason `action-missing`.
///
/// See docs/providers/captchala.md#server-tokens.
#[async_trait]
impl ChallengeIssuer for CaptchaLa {
    fn provider(&self) -> &Provider {
        &CAPTCHALA
    }

    async fn issue(&self, request: &ChallengeRequest) -> Result<Challenge, CheckError> {
        let action = request.action().unwrap_or_default();
        let mut token_request = ServerTokenRequest::new(action)
            .map_err(|error| {
                CheckError::new(ErrorKind::Misconfigured, &CAPTCHALA, "action-missing")
                    .with_source(error)
            })?
            .with_max_uses(3);
        if let Some(uid) = request.binding() {
            token_request = token_request.with_uid(uid);
        }
        let issued = self.issue_server_token(&token_request).await?;
        let challenge = Challenge::new(json!({"server_token": issued.token}).to_string());
        Ok(match issued.expires_in {
            Some(ttl) => challenge.with_ttl(ttl),
            None => challenge,
        })
    }
}
