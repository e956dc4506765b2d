use human_check_core::{ConfigError, HumanCheck, Score, Secret, TestKeyPolicy, Widget};
use human_check_http::{Endpoint, ProviderClient};

#[cfg(feature = "altcha")]
use crate::AltchaConfig;
use crate::issuer::Issuer;
use crate::{EnterpriseKeyKind, ProviderKind};

/// Everything that an adapter may need; each takes what is its own.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// The kind of provider.
    pub kind: ProviderKind,
    /// Site key or app key; for altcha the path that pages fetch challenges from, by default
    /// `/human-check-altcha/challenge`.
    pub site_key: Option<String>,
    /// Secret, or API key of reCAPTCHA Enterprise.
    pub secret: Option<Secret>,
    /// Another way to sign in to reCAPTCHA Enterprise.
    #[cfg(feature = "recaptcha")]
    pub credential: Option<human_check_recaptcha::Credential>,
    /// The Google Cloud project.
    pub project: Option<String>,
    /// Which kind of Enterprise key it is, where the score does not tell.
    pub enterprise_key: Option<EnterpriseKeyKind>,
    /// The lowest score on the common scale.
    pub min_score: Option<f64>,
    /// The highest risk on the provider's scale.
    pub max_risk: Option<f64>,
    /// Whether test keys may be used.
    pub test_keys: TestKeyPolicy,
    /// Whether CaptchaLa's backup service verifies its offline tokens.
    pub accept_offline_tokens: bool,
    /// Where calls go instead of the provider's own host.
    pub base_url: Option<Endpoint>,
    /// The form fields that the token arrives in, where the page renames them.
    pub fields: Vec<String>,
    /// What is altcha's alone.
    #[cfg(feature = "altcha")]
    pub altcha: AltchaConfig,
}

/// Where pages fetch altcha's challenges if nothing else is said.
pub(crate) const CHALLENGE_PATH: &str = "/human-check-altcha/challenge";

impl ProviderConfig {
    /// Creates a configuration of a kind with nothing set.
    pub fn new(kind: ProviderKind) -> Self {
        Self {
            kind,
            site_key: None,
            secret: None,
            #[cfg(feature = "recaptcha")]
            credential: None,
            project: None,
            enterprise_key: None,
            min_score: None,
            max_risk: None,
            test_keys: TestKeyPolicy::Refused,
            accept_offline_tokens: false,
            base_url: None,
            fields: Vec::new(),
            #[cfg(feature = "altcha")]
            altcha: AltchaConfig::default(),
        }
    }

    /// Returns the lowest score that a policy must demand, where the adapter does not do it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a threshold is out of range or means nothing for this kind of provider.
    pub fn policy_score(&self) -> Result<Option<Score>, ConfigError> {
        let humanity = |score| Score::humanity(score).map_err(|e| e.with_field("min_score"));
        match (self.kind.as_str(), self.min_score, self.max_risk) {
            (_, Some(_), Some(_)) => Err(ConfigError::new(
                "max_risk",
                "is given beside min_score",
                "give one of them",
            )),
            ("captchala", None, Some(risk)) => {
                let score = Score::risk(risk, 100.0).map_err(|e| e.with_field("max_risk"));
                score.map(Some)
            }
            ("hcaptcha", None, Some(_)) => Ok(None),
            (_, None, Some(_)) => Err(ConfigError::new(
                "max_risk",
                "means nothing for a provider that does not report a risk",
                "give min_score, or leave it out",
            )),
            ("recaptcha-v3" | "recaptcha-enterprise", _, None) => Ok(None),
            (_, min_score, None) => min_score.map(humanity).transpose(),
        }
    }

    /// Builds the adapter, without a policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when something is missing or wrong.
    pub fn build(self, client: &ProviderClient) -> Result<Box<dyn HumanCheck>, ConfigError> {
        Ok(self.build_both(client)?.0)
    }

    /// Builds the adapter, and what issues challenges for it, where the application has to.
    #[allow(
        unused_variables,
        unreachable_code,
        reason = "which of them are used depends on the features"
    )]
    pub(crate) fn build_both(
        self,
        client: &ProviderClient,
    ) -> Result<(Box<dyn HumanCheck>, Option<Issuer>), ConfigError> {
        let missing = |field, remedy| ConfigError::new(field, "is missing", remedy);
        let provider = self.kind.provider();
        let client = &match self.base_url {
            Some(base) => client.clone().with_base_url(provider, base),
            None => client.clone(),
        };
        let fields = self.fields;
        let test_keys = self.test_keys;
        let secret = self
            .secret
            .ok_or_else(|| missing("secret", "give the secret key"));
        let site_key = self
            .site_key
            .ok_or_else(|| missing("site_key", "copy it from the provider's dashboard"));
        macro_rules! with_fields {
            ($adapter:expr) => {
                match fields.is_empty() {
                    true => $adapter,
                    false => $adapter.with_form_fields(fields),
                }
            };
        }
        let check: Box<dyn HumanCheck> = match self.kind {
            #[cfg(feature = "altcha")]
            ProviderKind::Altcha => {
                let altcha = std::sync::Arc::new(with_fields!(self.altcha.build(secret?)?));
                let issuer = std::sync::Arc::clone(&altcha) as Issuer;
                return Ok((Box::new(altcha), Some(issuer)));
            }
            #[cfg(feature = "captchala")]
            ProviderKind::CaptchaLa => {
                use human_check_captchala::CaptchaLa;

                let mut captchala = CaptchaLa::new(client, &site_key?, secret?)?;
                if self.accept_offline_tokens {
                    captchala = captchala.with_offline_tokens();
                }
                let captchala = std::sync::Arc::new(with_fields!(captchala));
                let issuer = std::sync::Arc::clone(&captchala) as Issuer;
                return Ok((Box::new(captchala), Some(issuer)));
            }
            #[cfg(feature = "hcaptcha")]
            ProviderKind::Hcaptcha => {
                use human_check_hcaptcha::Hcaptcha;

                let mut hcaptcha = match test_keys.allowed() {
                    true => Hcaptcha::for_testing(client, site_key?, secret?)?,
                    false => Hcaptcha::new(client, site_key?, secret?)?,
                };
                if let Some(risk) = self.max_risk {
                    hcaptcha = hcaptcha.with_max_risk(risk)?;
                }
                Box::new(with_fields!(hcaptcha))
            }
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV2 => {
                use human_check_recaptcha::RecaptchaV2;

                let recaptcha = match test_keys.allowed() {
                    true => RecaptchaV2::for_testing(client, secret?)?,
                    false => RecaptchaV2::new(client, secret?)?,
                };
                Box::new(with_fields!(recaptcha))
            }
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV3 => {
                use human_check_recaptcha::RecaptchaV3;

                let min_score = self.min_score.ok_or_else(|| {
                    missing(
                        "min_score",
                        "only you know which score your route needs; 0.5 is the usual start",
                    )
                })?;
                let min_score =
                    Score::humanity(min_score).map_err(|e| e.with_field("min_score"))?;
                Box::new(with_fields!(RecaptchaV3::new(client, secret?, min_score)?))
            }
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaEnterprise => {
                use human_check_recaptcha::{Credential, RecaptchaEnterprise};

                let kind = enterprise_kind(self.enterprise_key, self.min_score)?;
                let project = self
                    .project
                    .ok_or_else(|| missing("project", "name the Google Cloud project"))?;
                let credential = match self.credential {
                    Some(credential) => credential,
                    None => Credential::api_key(secret?)?,
                };
                let recaptcha =
                    RecaptchaEnterprise::new(client, project, site_key?, credential, kind)?;
                Box::new(with_fields!(recaptcha))
            }
            #[cfg(feature = "turnstile")]
            ProviderKind::Turnstile => {
                use human_check_turnstile::Turnstile;

                let turnstile = match test_keys.allowed() {
                    true => Turnstile::for_testing(client, secret?)?,
                    false => Turnstile::new(client, secret?)?,
                };
                Box::new(with_fields!(turnstile))
            }
        };
        Ok((check, None))
    }

    /// Returns the provider's widget, as a page shows it for these settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is missing or wrong, or the field cannot be renamed.
    pub fn widget(&self) -> Result<Widget, ConfigError> {
        let default = self
            .kind
            .is_self_hosted()
            .then(|| CHALLENGE_PATH.to_owned());
        let site_key = self.site_key.clone().or(default).ok_or_else(|| {
            let remedy = "copy it from the provider's dashboard";
            ConfigError::new("site_key", "is missing", remedy)
        })?;
        let widget = match self.kind {
            #[cfg(feature = "altcha")]
            ProviderKind::Altcha => human_check_altcha::widget(site_key),
            #[cfg(feature = "captchala")]
            ProviderKind::CaptchaLa => human_check_captchala::widget(site_key),
            #[cfg(feature = "hcaptcha")]
            ProviderKind::Hcaptcha => human_check_hcaptcha::widget(site_key),
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV2 => human_check_recaptcha::widget_v2(site_key),
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV3 => human_check_recaptcha::widget_v3(site_key),
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaEnterprise => match self.enterprise_key {
                Some(EnterpriseKeyKind::Checkbox) => {
                    human_check_recaptcha::widget_enterprise_checkbox(site_key)
                }
                _ => human_check_recaptcha::widget_enterprise_score(site_key),
            },
            #[cfg(feature = "turnstile")]
            ProviderKind::Turnstile => human_check_turnstile::widget(site_key),
        }?;
        match self.fields.first() {
            // A provider whose script names the field itself still posts under that name, and a page
            // that copies it elsewhere says so by listing the other name only.
            Some(field) if renames_field(&widget) => widget.with_field(field.clone()),
            _ => Ok(widget),
        }
    }
}

fn renames_field(widget: &Widget) -> bool {
    widget.spec().hidden_input || widget.spec().field_attribute.is_some()
}

#[cfg(feature = "recaptcha")]
fn enterprise_kind(
    key: Option<EnterpriseKeyKind>,
    min_score: Option<f64>,
) -> Result<human_check_recaptcha::KeyKind, ConfigError> {
    use human_check_recaptcha::KeyKind;

    let wrong = |problem, remedy| Err(ConfigError::new("min_score", problem, remedy));
    match (key, min_score) {
        (None | Some(EnterpriseKeyKind::Score), Some(score)) => {
            let score = Score::humanity(score).map_err(|e| e.with_field("min_score"))?;
            Ok(KeyKind::Score(score))
        }
        (Some(EnterpriseKeyKind::Challenge), None) => Ok(KeyKind::Challenge),
        (Some(EnterpriseKeyKind::Checkbox), None) => Ok(KeyKind::Checkbox),
        (Some(EnterpriseKeyKind::Challenge | EnterpriseKeyKind::Checkbox), Some(_)) => {
            wrong("is given for a key without a threshold", "leave it out")
        }
        (None | Some(EnterpriseKeyKind::Score), None) => wrong(
            "is missing",
            "give it for a score key, or say that it is a checkbox or challenge key",
        ),
    }
}

/// Reads a base URL that calls go to instead of a provider's own host, such as an emulator's: scheme,
/// host and port.
///
/// # Errors
///
/// [`ConfigError`] when it is no such address, holds a path, or is plain `http` beyond loopback.
pub fn parse_base_url(text: &str) -> Result<Endpoint, ConfigError> {
    let base = Endpoint::parse(text).map_err(|error| {
        let remedy = "write https://host, or for an emulator on this machine http://127.0.0.1:8765";
        error.with_field("base_url").with_remedy(remedy)
    })?;
    if base.url().path() != "/" {
        return Err(ConfigError::new(
            "base_url",
            "holds a path",
            "write scheme, host and port only; the provider's path is added",
        ));
    }
    Ok(base)
}
