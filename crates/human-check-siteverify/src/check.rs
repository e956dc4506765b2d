use async_trait::async_trait;
use human_check_core::adapter::junk_submission;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, Health, HumanCheck, Provider, Reason,
    Refusal, Score, Secret, Submission, Verdict,
};

use crate::{Dialect, ScoreScale};
use human_check_http::ProviderClient;
use human_check_http::adapter::{ResendPolicy, VerifyCall, refuse_test_secret};

/// Verifies tokens of any provider whose siteverify call a [`Dialect`] describes.
///
/// Use it for Cap, CaptchaFox, Friendly Captcha and mCaptcha, which have presets, and for other
/// providers whose verdict is one boolean. Every human verdict states that the provider prevents
/// replays. For a provider that does not, add `.replay_guard(store)`, which `HumanCheckExt` has with
/// the feature `replay` of `human-check-core`.
///
/// A request is repeated only when no byte of the first one was sent.
///
/// ```
/// use human_check_core::Secret;
/// use human_check_http::{Endpoint, MockTransport, ProviderClient, Reply};
/// use human_check_siteverify::{Dialect, SiteVerify};
///
/// # let transport = MockTransport::always(Reply::new(200, r#"{"success":true}"#));
/// let client = ProviderClient::new(transport); // in production: HyperTransport::new()?
/// let instance = Endpoint::parse("https://cap.example.com")?;
/// let dialect = Dialect::cap(&instance, "site-key")?;
/// let check = SiteVerify::new(&client, dialect, Secret::new("key-secret")?)?;
/// # let _ = check;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/siteverify.md#set-up.
///
/// # Cancellation
///
/// Dropping the future of [`check`](HumanCheck::check) stops waiting. If the request was sent, the
/// token may be used, and the visitor needs a new one.
#[derive(Clone, Debug)]
pub struct SiteVerify {
    client: ProviderClient,
    dialect: Dialect,
    secret: Secret,
}

impl SiteVerify {
    /// Creates a check for the provider of `dialect`, with its secret.
    ///
    /// Sends nothing. The first check, or [`prewarm`](Self::prewarm), opens a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the dialect sends the secret in a header and the secret holds
    /// characters that no header may hold, when the dialect sends two members of one name, or when
    /// the maximum of its [`ScoreScale::Risk`] is not a finite number above zero. Also when the
    /// secret is one that the provider of a preset publishes for tests, unless the client allows
    /// test keys.
    pub fn new(
        client: &ProviderClient,
        dialect: Dialect,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        let mut names = Vec::new();
        let secret_member = dialect.secret_header.is_none().then_some(&dialect.secret);
        let fixed = [&dialect.token].into_iter().chain(secret_member);
        let constants = dialect.constants.iter().map(|(name, _)| name);
        for name in fixed.chain(&dialect.client_ip).chain(constants) {
            if names.contains(&name) {
                return Err(ConfigError::new(
                    "dialect",
                    format!("sends two members named `{name}`"),
                    "rename one of them, or remove the constant",
                ));
            }
            names.push(name);
        }
        if let Some((_, ScoreScale::Risk(max))) = dialect.score
            && Score::risk(0.0, max).is_err()
        {
            return Err(ConfigError::new(
                "dialect",
                format!("has a risk score from 0 to {max}"),
                "give the highest risk of the scale, such as 1 or 100",
            ));
        }
        refuse_test_secret(&secret, dialect.test_secrets, client.test_keys())?;
        // Reports a secret that does not fit in a header here and not at the first check.
        dialect.build(&secret, "probe", &Submission::new())?;
        Ok(Self {
            client: client.for_adapter(),
            dialect,
            secret,
        })
    }

    /// Opens the connections to the provider that the allowed number of checks in flight needs, so that the
    /// first checks do not wait for one. See [`ProviderClient::prewarm`].
    ///
    /// Sends an empty GET, which uses no token. A reply with any status is a success. Dropping the
    /// future abandons the request.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when no reply arrives within the client's limits.
    pub async fn prewarm(&self) -> Result<(), CheckError> {
        self.client
            .prewarm(&self.dialect.provider, &self.dialect.endpoint)
            .await
    }
}

#[async_trait]
impl HumanCheck for SiteVerify {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&self.dialect.provider)
    }

    fn capabilities(&self) -> Capabilities {
        self.dialect.capabilities()
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let provider = &self.dialect.provider;
        let token = match self.dialect.token_format.read(submission, provider) {
            Ok(token)
                if self
                    .dialect
                    .unsolved_prefix
                    .is_some_and(|prefix| token.starts_with(prefix)) =>
            {
                return self.client.refuse(provider, Refusal::new(Reason::Missing));
            }
            Ok(token) => token,
            Err(refusal) => return self.client.refuse(provider, refusal),
        };
        let request = self
            .dialect
            .build(&self.secret, token, submission)
            .map_err(|error| {
                CheckError::new(ErrorKind::Misconfigured, provider, "secret").with_source(error)
            })?;
        let call = VerifyCall {
            provider,
            submission,
            request,
            secrets: &[token, self.secret.expose()],
            resend: ResendPolicy::Unsent,
        };
        self.client
            .verify(call, |reply| self.dialect.judge(reply))
            .await
    }

    async fn probe_health(&self) -> Health {
        let probe = Self {
            client: self.client.for_health_probe(),
            ..self.clone()
        };
        Health::of(
            &probe
                .check(&junk_submission(&self.dialect.provider, ""))
                .await,
        )
    }
}
