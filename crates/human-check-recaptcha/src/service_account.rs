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

/// Google's limit for a signed assertion, in seconds.
const LIFETIME: u64 = 3_600;

/// A service account's key file: signs an assertion and trades it for an access token
/// (recaptcha.md section 3.2).
#[derive(Clone)]
pub struct ServiceAccount {
    email: String,
    key_id: String,
    key: Arc<RsaKeyPair>,
    /// Who the assertion is for: Google's name of the endpoint, even where another is asked.
    audience: String,
    endpoint: Endpoint,
    clock: Arc<dyn Clock>,
}

/// The members of the file that are needed.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: String,
    token_uri: String,
}

impl ServiceAccount {
    /// Reads the JSON key file that the Google Cloud console gives out.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not such a file, its key cannot be used, or its token endpoint
    /// is not `https`.
    pub fn from_json(file: &Secret) -> Result<Self, ConfigError> {
        let bad = |problem| {
            ConfigError::new(
                "service_account",
                problem,
                "create a JSON key for the service account in the Google Cloud console and give the whole file",
            )
        };
        // The parser's own message might quote the key.
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

    /// Signs with the time of another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The assertion, valid for an hour from now.
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
            "exp": now + LIFETIME,
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
