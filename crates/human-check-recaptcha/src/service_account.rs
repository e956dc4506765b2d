use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use human_check_core::{CheckError, Clock, ConfigError, ErrorKind, Secret, SystemClock};
use human_check_http::adapter::FormBody;
use human_check_http::{Endpoint, ProviderClient, Request};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

use crate::RECAPTCHA_ENTERPRISE;
use crate::credential::{AccessToken, TokenSource, read_access_token};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Google's maximum ttl of a signed assertion, in seconds.
const ASSERTION_TTL: u64 = 3_600;

/// A [`TokenSource`] that signs in with the key file of a Google Cloud service account.
///
/// For each access token it signs an assertion (RS256, valid for an hour) and exchanges it at the
/// file's `token_uri`. The account needs the role `roles/recaptchaenterprise.agent`. Needs the
/// feature `service-account`, which is on by default.
///
/// ```no_run
/// use human_check_core::Secret;
/// use human_check_recaptcha::{Credential, ServiceAccount};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let file = std::fs::read_to_string("/run/secrets/service-account.json")?;
/// let account = ServiceAccount::from_json(&Secret::multiline(file)?)?;
/// let credential = Credential::bearer(account);
/// # Ok(()) }
/// ```
///
/// See docs/providers/recaptcha.md#enterprise-sign-in.
#[derive(Clone)]
pub struct ServiceAccount {
    email: String,
    key_id: String,
    key: Arc<RsaKeyPair>,
    /// The audience of the assertion: the `token_uri` of the file, even when the client's base URL
    /// sends the request to another host.
    audience: String,
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
}

/// The members of the key file that are read.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: String,
    token_uri: String,
}

impl ServiceAccount {
    /// Creates a token source from the text of the JSON key file that the Google Cloud console
    /// creates. Read the file with [`Secret::multiline`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the text is not such a file, its private key is not RSA of 2,048 bits
    /// or more, or its `token_uri` is not `https`. No text of the file is in the error.
    pub fn from_json(file: &Secret) -> Result<Self, ConfigError> {
        let bad = |problem| {
            ConfigError::new(
                "service_account",
                problem,
                "create a JSON key for the service account in the Google Cloud console and give the whole file",
            )
        };
        // The message of the parser is left out, because it may quote the key.
        let file: KeyFile = serde_json::from_str(file.expose())
            .map_err(|_| bad("is not a service account's key file"))?;
        let private_key = Secret::multiline(file.private_key)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(private_key.expose().as_bytes())
            .map_err(|_| bad("holds no PEM private key"))?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
            .map_err(|_| bad("holds a private key that is not RSA of 2048 bits or more"))?;
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key: Arc::new(key),
            endpoint: Endpoint::parse(&file.token_uri)?,
            audience: file.token_uri,
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the clock that assertions take their time from. Default: the system clock. For tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Signs an assertion that is valid for an hour from now.
    fn assertion(&self) -> Result<Secret, CheckError> {
        let now = self
            .clock
            .now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": self.key_id });
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": now,
            "exp": now + ASSERTION_TTL,
        });
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .ok()
            .and_then(|()| Secret::new(format!("{signed}.{}", encode(&signature))).ok())
            .ok_or_else(|| {
                CheckError::new(ErrorKind::Misconfigured, &RECAPTCHA_ENTERPRISE, "sign-in")
            })
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for ServiceAccount {
    async fn access_token(&self, client: &ProviderClient) -> Result<AccessToken, CheckError> {
        let assertion = self.assertion()?;
        let body = FormBody::with_capacity(1_024)
            .pair("assertion", assertion.expose())
            .pair("grant_type", GRANT);
        let request = Request::form(&self.endpoint, body);
        client
            .call(
                &RECAPTCHA_ENTERPRISE,
                request,
                &[assertion.expose()],
                read_access_token,
            )
            .await
    }
}
