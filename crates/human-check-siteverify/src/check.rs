use async_trait::async_trait;
use human_check_core::{
    Capabilities, CheckError, ConfigError, ErrorKind, HumanCheck, Provider, Reason, Refusal, Score,
    Secret, Submission, Verdict,
};

use crate::{Dialect, ScoreScale};
use human_check_http::ProviderClient;
use human_check_http::adapter::{ResendPolicy, VerifyCall};

/// Any provider that speaks a [`Dialect`].
///
/// ```
/// use human_check_core::Secret;
/// use human_check_http::{MockTransport, Endpoint, ProviderClient, Reply};
/// use human_check_siteverify::{Dialect, SiteVerify};
///
/// # let transport = MockTransport::always(Reply::new(200, r#"{"success":true}"#));
/// let client = ProviderClient::new(transport); // in a service: HyperTransport::new()?
/// let instance = Endpoint::parse("https://cap.example.com")?;
/// let cap = SiteVerify::new(&client, Dialect::cap(&instance, "site-key")?, Secret::new("key-secret")?)?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SiteVerify {
    client: ProviderClient,
    dialect: Dialect,
    secret: Secret,
}

impl SiteVerify {
    /// Asks over `client` in `dialect`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the secret does not fit where the dialect puts it, two members would
    /// have one name, so that one would replace the other, or the score's scale has no end.
    pub fn new(
        client: &ProviderClient,
        dialect: Dialect,
        secret: Secret,
    ) -> Result<Self, ConfigError> {
        let mut names = vec![&dialect.secret, &dialect.token];
        let further = dialect.constants.iter().map(|(name, _)| name);
        for name in dialect.client_ip.iter().chain(further) {
            if names.contains(&name) {
                return Err(ConfigError::new(
                    "dialect",
                    format!("sends two members named `{name}`"),
                    "rename one, or leave the constant out",
                ));
            }
            names.push(name);
        }
        if let Some((_, ScoreScale::Risk(out_of))) = dialect.score
            && Score::risk(0.0, out_of).is_err()
        {
            return Err(ConfigError::new(
                "dialect",
                format!("counts its score from 0 to {out_of}"),
                "give the number that stands for surely a machine, such as 1 or 100",
            ));
        }
        dialect.build(&secret, "probe", &Submission::new())?;
        Ok(Self {
            client: client.clone(),
            dialect,
            secret,
        })
    }

    /// Opens a connection before the first visitor needs one.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the provider cannot be reached.
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
        let token = match submission.token_for(provider, self.client.limits().max_token_bytes) {
            Ok(token)
                if self
                    .dialect
                    .unanswered
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
}
