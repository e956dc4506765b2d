//! How we sign in to Google Cloud (recaptcha.md section 3.2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use human_check_core::{CheckError, ConfigError, ErrorKind, Secret};
use human_check_http::adapter::json;
use human_check_http::adapter::json::{Number, Text};
use human_check_http::{Endpoint, ProviderClient, Reply, Request};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::RECAPTCHA_ENTERPRISE;

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// No access token is kept longer than this, whatever its source says.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(86_400);

/// At most one rejected token in this time is replaced at once.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// Renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(60);

/// How [`RecaptchaEnterprise`](crate::RecaptchaEnterprise) signs in.
#[derive(Clone, Debug)]
pub struct Credential(Kind);

#[derive(Clone, Debug)]
enum Kind {
    ApiKey(Secret, HeaderValue),
    Bearer(Arc<Bearer>),
}

impl Credential {
    /// An API key. It travels in a header, never in the URL. Restrict it to this API, or to your
    /// servers' addresses; a restriction to referrers does not fit a server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it does not fit in a header.
    pub fn api_key(key: Secret) -> Result<Self, ConfigError> {
        let mut header = Request::header_value("api_key", key.expose())?;
        header.set_sensitive(true);
        Ok(Self(Kind::ApiKey(key, header)))
    }

    /// Access tokens from `source`, kept until a minute before they end.
    pub fn bearer(source: impl TokenSource) -> Self {
        Self(Kind::Bearer(Arc::new(Bearer {
            source: Box::new(source),
            kept: Mutex::default(),
        })))
    }

    pub(crate) async fn header(
        &self,
        client: &ProviderClient,
    ) -> Result<(HeaderName, HeaderValue, Secret), CheckError> {
        match &self.0 {
            Kind::ApiKey(key, header) => Ok((API_KEY, header.clone(), key.clone())),
            Kind::Bearer(bearer) => {
                // Without a credential nothing of the visitor's was sent.
                let token = bearer
                    .token(client)
                    .await
                    .map_err(CheckError::with_token_unused)?;
                let header = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| protocol("access-token"))?;
                Ok((AUTHORIZATION, header, token))
            }
        }
    }

    /// Forgets an access token that was not taken, unless somebody has renewed it already.
    /// Whether asking again can help.
    pub(crate) async fn renew(&self, rejected: &Secret) -> bool {
        match &self.0 {
            Kind::ApiKey(..) => false,
            Kind::Bearer(bearer) => {
                let mut kept = bearer.kept.lock().await;
                let same = |(token, _): &(Secret, Instant)| token.expose() == rejected.expose();
                if !kept.token.as_ref().is_some_and(same) {
                    return true;
                }
                // Where fresh tokens are not taken either, each check would be sent twice.
                let again = kept.renewed.is_none_or(|at| at.elapsed() >= RENEWAL_PAUSE);
                if again {
                    kept.token = None;
                    kept.renewed = Some(Instant::now());
                }
                again
            }
        }
    }
}

/// Gives access tokens for Google Cloud.
///
/// [`ServiceAccount`](crate::ServiceAccount) and [`MetadataServer`] do; implement it for anything
/// else, such as workload identity federation.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A fresh token.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when none could be had.
    async fn access_token(&self, client: &ProviderClient) -> Result<AccessToken, CheckError>;
}

/// An access token and how long it lives.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: Secret,
    /// Its ttl from now.
    pub expires_in: Duration,
}

struct Bearer {
    source: Box<dyn TokenSource>,
    /// Held while one is fetched, so that a burst of checks fetches one.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The access token, and when to fetch the next.
    token: Option<(Secret, Instant)>,
    /// When one was last thrown away because it was not taken.
    renewed: Option<Instant>,
}

impl Bearer {
    async fn token(&self, client: &ProviderClient) -> Result<Secret, CheckError> {
        let mut kept = self.kept.lock().await;
        if let Some((token, renew_at)) = &kept.token
            && Instant::now() < *renew_at
        {
            return Ok(token.clone());
        }
        let fresh = self.source.access_token(client).await?;
        let ttl = fresh.expires_in.saturating_sub(MARGIN).min(MAX_TOKEN_TTL);
        let renew_at = Instant::now() + ttl;
        kept.token = Some((fresh.token.clone(), renew_at));
        Ok(fresh.token)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// On Google Cloud: the token of the machine's own service account.
///
/// Asked by its link-local address, which no router passes on, over plain HTTP, as Google serves it.
#[derive(Clone, Debug)]
pub struct MetadataServer {
    endpoint: Endpoint,
}

impl MetadataServer {
    /// The metadata server at its usual address, 169.254.169.254.
    ///
    /// # Errors
    ///
    /// None today; the type leaves room for addresses from the environment.
    pub fn new() -> Result<Self, ConfigError> {
        let base = Endpoint::link_local("http://169.254.169.254/")?;
        let path = "computeMetadata/v1/instance/service-accounts/default/token";
        Ok(Self {
            endpoint: base.at_path(path),
        })
    }
}

#[async_trait]
impl TokenSource for MetadataServer {
    async fn access_token(&self, client: &ProviderClient) -> Result<AccessToken, CheckError> {
        let request = Request::get(&self.endpoint).with_header(
            HeaderName::from_static("metadata-flavor"),
            HeaderValue::from_static("Google"),
        );
        client
            .call(&RECAPTCHA_ENTERPRISE, request, &[], read_access_token)
            .await
    }
}

#[derive(Default, Deserialize)]
struct TokenReply<'a> {
    #[serde(borrow, default)]
    access_token: Text<'a>,
    #[serde(default)]
    expires_in: Number,
    #[serde(borrow, default)]
    error: Text<'a>,
}

/// Reads a token endpoint's or metadata server's reply (section 3.2).
///
/// # Errors
///
/// `Unavailable` for the statuses and error names that Google calls temporary, `Protocol` for a
/// success without a token, `Misconfigured` otherwise.
pub fn read_access_token(reply: &Reply) -> Result<AccessToken, CheckError> {
    let body: TokenReply<'_> = json::object(reply.body()).unwrap_or_default();
    if reply.status() == 200 {
        let token = body
            .access_token
            .get()
            .and_then(|token| Secret::new(token).ok());
        let seconds = body.expires_in.get().filter(|s| (0.0..=1e6).contains(s));
        return match (token, seconds) {
            (Some(token), Some(seconds)) => Ok(AccessToken {
                token,
                expires_in: Duration::from_secs_f64(seconds),
            }),
            _ => Err(protocol("access-token")),
        };
    }
    reply.check_status(&RECAPTCHA_ENTERPRISE)?;
    let (kind, reason) = match body.error.get() {
        Some("internal_failure" | "server_error" | "temporarily_unavailable") => {
            (ErrorKind::Unavailable, "sign-in-unavailable")
        }
        _ => (ErrorKind::Misconfigured, "sign-in"),
    };
    let mut codes = json::Codes::default();
    codes.push(body.error.get().unwrap_or("unknown"));
    Err(CheckError::new(kind, &RECAPTCHA_ENTERPRISE, reason).with_codes(codes.into_vec()))
}

fn protocol(reason: &'static str) -> CheckError {
    CheckError::new(ErrorKind::Protocol, &RECAPTCHA_ENTERPRISE, reason)
}
