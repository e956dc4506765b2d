//! Signing in to Google Cloud. See docs/providers/recaptcha.md#enterprise-sign-in.

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

/// The maximum time to keep an access token, whatever ttl its source states.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(86_400);

/// The minimum time between two renewals after a rejected access token. A credential that is never
/// accepted would otherwise double the calls.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// How long before its end an access token is renewed.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// How [`RecaptchaEnterprise`](crate::RecaptchaEnterprise) signs in to Google Cloud: with an API
/// key, or with access tokens of a [`TokenSource`].
///
/// Clones share one cached access token. `Debug` hides the key.
///
/// ```
/// use human_check_core::Secret;
/// use human_check_recaptcha::{Credential, MetadataServer};
///
/// let key = Credential::api_key(Secret::new("AIza-the-api-key")?)?;
/// let machine = Credential::bearer(MetadataServer::new()?); // on Google Cloud
/// # let _ = (key, machine);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/recaptcha.md#enterprise-sign-in.
#[derive(Clone, Debug)]
pub struct Credential(Kind);

#[derive(Clone, Debug)]
enum Kind {
    ApiKey(Secret, HeaderValue),
    Bearer(Arc<Bearer>),
}

impl Credential {
    /// Creates a credential from an API key of Google Cloud.
    ///
    /// The key is sent in the header `x-goog-api-key` and never in a URL. In the Google Cloud
    /// console, restrict the key to the reCAPTCHA Enterprise API or to the addresses of the
    /// servers. A restriction to referrers refuses servers.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the key holds characters that no header may hold.
    pub fn api_key(key: Secret) -> Result<Self, ConfigError> {
        let mut header = Request::header_value("api_key", key.expose())?;
        header.set_sensitive(true);
        Ok(Self(Kind::ApiKey(key, header)))
    }

    /// Creates a credential that takes access tokens from `source`.
    ///
    /// An access token is kept until a minute before it ends, and for a day at most. Checks that
    /// need one at the same time share one fetch.
    pub fn bearer(source: impl TokenSource) -> Self {
        Self(Kind::Bearer(Arc::new(Bearer {
            source: Box::new(source),
            cache: Mutex::default(),
        })))
    }

    /// Returns the header that signs a request, and its secret, which must not appear in errors.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no access token could be fetched. The visitor's token is then unused.
    pub(crate) async fn header(
        &self,
        client: &ProviderClient,
    ) -> Result<(HeaderName, HeaderValue, Secret), CheckError> {
        match &self.0 {
            Kind::ApiKey(key, header) => Ok((API_KEY, header.clone(), key.clone())),
            Kind::Bearer(bearer) => {
                // The visitor's token is sent only after signing in.
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

    /// Discards an access token that Google rejected, unless another check has replaced it already.
    /// Returns whether a second call may succeed.
    pub(crate) async fn renew(&self, rejected: &Secret) -> bool {
        match &self.0 {
            Kind::ApiKey(..) => false,
            Kind::Bearer(bearer) => {
                let mut cache = bearer.cache.lock().await;
                let same = |(token, _): &(Secret, Instant)| token.expose() == rejected.expose();
                if !cache.token.as_ref().is_some_and(same) {
                    return true;
                }
                // Where Google rejects fresh access tokens, too, every check would be sent twice.
                let may_renew = cache
                    .renewed_at
                    .is_none_or(|at| at.elapsed() >= RENEWAL_PAUSE);
                if may_renew {
                    cache.token = None;
                    cache.renewed_at = Some(Instant::now());
                }
                may_renew
            }
        }
    }
}

/// A source of access tokens for Google Cloud, for [`Credential::bearer`].
///
/// `ServiceAccount` (feature `service-account`) and [`MetadataServer`] implement it. Implement it
/// for other ways to sign in, such as workload identity federation. [`read_access_token`] reads the
/// reply of an OAuth token endpoint.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_core::{CheckError, Secret};
/// use human_check_http::ProviderClient;
/// use human_check_recaptcha::{AccessToken, Credential, TokenSource};
///
/// #[derive(Debug)]
/// struct Federation;
///
/// #[async_trait::async_trait]
/// impl TokenSource for Federation {
///     async fn access_token(&self, _: &ProviderClient) -> Result<AccessToken, CheckError> {
///         // Here: exchange the workload's own identity for a token.
/// #       let token = Secret::new("ya29.example").expect("a token of one line");
///         Ok(AccessToken { token, expires_in: Duration::from_secs(3_600) })
///     }
/// }
///
/// let credential = Credential::bearer(Federation);
/// ```
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Fetches a new access token. `client` is the client of the check; use it for HTTP calls, so
    /// that its limits hold.
    ///
    /// The call counts towards the total timeout of the check. Its future is dropped when that
    /// timeout ends.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no token could be fetched. The check ends with this error.
    async fn access_token(&self, client: &ProviderClient) -> Result<AccessToken, CheckError>;
}

/// An access token for Google Cloud, and its ttl. A [`TokenSource`] returns it.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The access token, without `Bearer`.
    pub token: Secret,
    /// The ttl of the access token, counted from now.
    pub expires_in: Duration,
}

struct Bearer {
    source: Box<dyn TokenSource>,
    /// Locked while an access token is fetched, so that a burst of checks fetches one.
    cache: Mutex<TokenCache>,
}

#[derive(Default)]
struct TokenCache {
    /// The access token, and when to fetch the next one.
    token: Option<(Secret, Instant)>,
    /// When a rejected access token was last discarded.
    renewed_at: Option<Instant>,
}

impl Bearer {
    /// Returns the cached access token, or fetches one.
    async fn token(&self, client: &ProviderClient) -> Result<Secret, CheckError> {
        let mut cache = self.cache.lock().await;
        if let Some((token, renew_at)) = &cache.token
            && Instant::now() < *renew_at
        {
            return Ok(token.clone());
        }
        let fresh = self.source.access_token(client).await?;
        let ttl = fresh
            .expires_in
            .saturating_sub(RENEWAL_MARGIN)
            .min(MAX_TOKEN_TTL);
        let renew_at = Instant::now() + ttl;
        cache.token = Some((fresh.token.clone(), renew_at));
        Ok(fresh.token)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// A [`TokenSource`] that takes access tokens from the metadata server of Google Cloud. They belong
/// to the service account of the machine.
///
/// Use it for programs that run on Google Cloud. The call uses plain HTTP, as Google offers it, and
/// the link-local address 169.254.169.254, which routers do not forward.
///
/// ```
/// use human_check_recaptcha::{Credential, MetadataServer};
///
/// let credential = Credential::bearer(MetadataServer::new()?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MetadataServer {
    endpoint: Endpoint,
}

impl MetadataServer {
    /// Creates a token source for the metadata server at 169.254.169.254.
    ///
    /// # Errors
    ///
    /// None at present. The return type leaves room for addresses from the environment.
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

/// The reply of a token endpoint or of the metadata server.
#[derive(Default, Deserialize)]
struct TokenReply<'a> {
    #[serde(borrow, default)]
    access_token: Text<'a>,
    #[serde(default)]
    expires_in: Number,
    #[serde(borrow, default)]
    error: Text<'a>,
}

/// Reads the reply of an OAuth token endpoint or of the metadata server, for a [`TokenSource`].
///
/// ```
/// use human_check_http::Reply;
/// use human_check_recaptcha::read_access_token;
///
/// let reply = Reply::new(200, r#"{"access_token":"ya29.example","expires_in":3599}"#);
/// assert_eq!(read_access_token(&reply)?.expires_in.as_secs(), 3_599);
/// # Ok::<(), human_check_core::CheckError>(())
/// ```
///
/// See docs/providers/recaptcha.md#enterprise-sign-in.
///
/// # Errors
///
/// `Unavailable` for the statuses and error names that Google calls temporary, `Protocol` for a
/// success without `access_token` or `expires_in`, and `Misconfigured` for every other error.
pub fn read_access_token(reply: &Reply) -> Result<AccessToken, CheckError> {
    reply.check_status(&RECAPTCHA_ENTERPRISE)?;
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
