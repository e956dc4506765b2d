use std::sync::Arc;

use human_check_altcha::ALTCHA;
use human_check_captchala::{CAPTCHALA, CaptchaLa};
use human_check_core::{
    ChallengeIssuer, ConfigError, HumanCheck, Provider, Score, Secret, TestingCredentials, Widget,
};
use human_check_hcaptcha::{HCAPTCHA, Hcaptcha};
use human_check_http::{Endpoint, Exchange};
use human_check_recaptcha::{
    Credential, KeyKind, RECAPTCHA_ENTERPRISE, RECAPTCHA_V2, RECAPTCHA_V3, RecaptchaEnterprise,
    RecaptchaV2, RecaptchaV3,
};
use human_check_turnstile::{TURNSTILE, Turnstile};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::ProofOfWork;
use crate::proof_of_work::CHALLENGES;

/// The vendors that can be chosen by name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Vendor {
    /// ALTCHA's proof of work, which we judge ourselves.
    Altcha,
    /// CaptchaLa.
    #[cfg_attr(feature = "clap", value(name = "captchala"))]
    #[serde(rename = "captchala")]
    CaptchaLa,
    /// hCaptcha.
    Hcaptcha,
    /// reCAPTCHA Enterprise.
    RecaptchaEnterprise,
    /// reCAPTCHA v2.
    RecaptchaV2,
    /// reCAPTCHA v3.
    RecaptchaV3,
    /// Cloudflare Turnstile.
    Turnstile,
}

impl Vendor {
    /// All of them, in the order that tables show them.
    pub const ALL: [Self; 7] = [
        Self::Turnstile,
        Self::Hcaptcha,
        Self::RecaptchaV2,
        Self::RecaptchaV3,
        Self::RecaptchaEnterprise,
        Self::CaptchaLa,
        Self::Altcha,
    ];

    /// Those that are asked over the network.
    pub const REMOTE: [Self; 6] = [
        Self::Turnstile,
        Self::Hcaptcha,
        Self::RecaptchaV2,
        Self::RecaptchaV3,
        Self::RecaptchaEnterprise,
        Self::CaptchaLa,
    ];

    /// Its adapter's provider.
    pub fn provider(self) -> &'static Provider {
        match self {
            Self::Altcha => &ALTCHA,
            Self::CaptchaLa => &CAPTCHALA,
            Self::Hcaptcha => &HCAPTCHA,
            Self::RecaptchaEnterprise => &RECAPTCHA_ENTERPRISE,
            Self::RecaptchaV2 => &RECAPTCHA_V2,
            Self::RecaptchaV3 => &RECAPTCHA_V3,
            Self::Turnstile => &TURNSTILE,
        }
    }

    /// Whether the application makes the challenges that its pages show.
    pub(crate) fn issues_challenges(self) -> bool {
        matches!(self, Self::Altcha | Self::CaptchaLa)
    }
}

/// What decides whether a valid reCAPTCHA Enterprise token is a human's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum EnterpriseKey {
    /// A challenge that was passed or not needed.
    #[serde(alias = "enterprise_challenge")]
    Challenge,
    /// A checkbox.
    #[serde(alias = "enterprise_checkbox")]
    Checkbox,
    /// The score.
    #[serde(alias = "enterprise_score")]
    Score,
}

/// Everything an adapter may need; each takes what is its own.
#[derive(Debug)]
pub struct Setup {
    /// The vendor.
    pub vendor: Vendor,
    /// Site key or app key; for altcha where pages fetch challenges, if not from
    /// `/human-check-altcha/challenge`.
    pub site_key: Option<String>,
    /// Secret, or API key of reCAPTCHA Enterprise.
    pub secret: Option<Secret>,
    /// Another way to sign in to reCAPTCHA Enterprise.
    pub credential: Option<Credential>,
    /// The Google Cloud project.
    pub project: Option<String>,
    /// Which kind of Enterprise key it is, where the score does not tell.
    pub key: Option<EnterpriseKey>,
    /// The lowest score on the common scale.
    pub min_score: Option<f64>,
    /// The highest risk on the vendor's scale.
    pub max_risk: Option<f64>,
    /// Whether testing keys may be used.
    pub testing: TestingCredentials,
    /// Whether CaptchaLa's backup service is asked about its tokens.
    pub offline: bool,
    /// Where to ask instead of the vendor.
    pub base: Option<Endpoint>,
    /// The form fields that the answer arrives in, where the page renames them.
    pub fields: Vec<String>,
    /// What is altcha's alone.
    pub proof_of_work: ProofOfWork,
}

/// What makes challenges for pages.
pub(crate) type Issuer = Arc<dyn ChallengeIssuer>;

/// A check, and what issues challenges for it where the application has to.
pub(crate) type WithIssuer<C> = (C, Option<Issuer>);

impl Setup {
    /// A vendor with nothing set.
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            site_key: None,
            secret: None,
            credential: None,
            project: None,
            key: None,
            min_score: None,
            max_risk: None,
            testing: TestingCredentials::Refused,
            offline: false,
            base: None,
            fields: Vec::new(),
            proof_of_work: ProofOfWork::default(),
        }
    }

    /// The lowest score that the route's policy must ask for, where the adapter does not do it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a threshold is out of range or means nothing for this vendor.
    pub fn policy_score(&self) -> Result<Option<Score>, ConfigError> {
        match (self.vendor, self.min_score, self.max_risk) {
            (_, Some(_), Some(_)) => Err(ConfigError::new(
                "max_risk",
                "is given beside min_score",
                "give one of them",
            )),
            (Vendor::CaptchaLa, None, Some(risk)) => Score::risk(risk, 100.0).map(Some),
            (Vendor::Hcaptcha, None, Some(_)) => Ok(None),
            (_, None, Some(_)) => Err(ConfigError::new(
                "max_risk",
                "means nothing for a vendor that does not report a risk",
                "give min_score, or leave it out",
            )),
            (Vendor::RecaptchaV3 | Vendor::RecaptchaEnterprise, _, None) => Ok(None),
            (_, min_score, None) => min_score.map(Score::humanity).transpose(),
        }
    }

    /// The adapter, without a policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when something is missing or wrong.
    pub fn build(self, exchange: &Exchange) -> Result<Box<dyn HumanCheck>, ConfigError> {
        Ok(self.build_both(exchange)?.0)
    }

    /// The adapter, and what issues challenges for it, where the application has to.
    pub(crate) fn build_both(
        self,
        exchange: &Exchange,
    ) -> Result<WithIssuer<Box<dyn HumanCheck>>, ConfigError> {
        let missing = |field, remedy| ConfigError::new(field, "is missing", remedy);
        let base = self.base;
        let fields = self.fields;
        let at = |path: &str| base.as_ref().map(|base| base.at_path(path));
        let testing = self.testing.allowed();
        let secret = self
            .secret
            .ok_or_else(|| missing("secret", "set HUMAN_CHECK_SECRET or give --secret-file"));
        let site_key = self
            .site_key
            .ok_or_else(|| missing("site_key", "set HUMAN_CHECK_SITE_KEY or give --site-key"));
        macro_rules! fitted {
            ($adapter:expr, $endpoint:expr) => {{
                let mut adapter = $adapter;
                if let Some(endpoint) = $endpoint {
                    adapter = adapter.at(endpoint);
                }
                if !fields.is_empty() {
                    adapter = adapter.with_form_fields(fields);
                }
                Box::new(adapter)
            }};
        }
        let mut issuer: Option<Issuer> = None;
        let check: Box<dyn HumanCheck> = match self.vendor {
            Vendor::Altcha => {
                let mut altcha = self.proof_of_work.build(secret?)?;
                if !fields.is_empty() {
                    altcha = altcha.with_form_fields(fields);
                }
                let altcha = Arc::new(altcha);
                issuer = Some(Arc::clone(&altcha) as Issuer);
                Box::new(altcha)
            }
            Vendor::Turnstile => {
                let turnstile = if testing {
                    Turnstile::for_testing(exchange, secret?)?
                } else {
                    Turnstile::new(exchange, secret?)?
                };
                fitted!(turnstile, at("/turnstile/v0/siteverify"))
            }
            Vendor::Hcaptcha => {
                let mut hcaptcha = if testing {
                    Hcaptcha::for_testing(exchange, site_key?, secret?)?
                } else {
                    Hcaptcha::new(exchange, site_key?, secret?)?
                };
                if let Some(risk) = self.max_risk {
                    hcaptcha = hcaptcha.with_max_risk(risk)?;
                }
                fitted!(hcaptcha, at("/siteverify"))
            }
            Vendor::RecaptchaV2 => {
                let recaptcha = if testing {
                    RecaptchaV2::for_testing(exchange, secret?)?
                } else {
                    RecaptchaV2::new(exchange, secret?)?
                };
                fitted!(recaptcha, at("/recaptcha/api/siteverify"))
            }
            Vendor::RecaptchaV3 => {
                let min_score = Score::humanity(self.min_score.ok_or_else(|| {
                    missing(
                        "min_score",
                        "only you know which score your route needs; 0.5 is the usual start",
                    )
                })?)?;
                let recaptcha = RecaptchaV3::new(exchange, secret?, min_score)?;
                fitted!(recaptcha, at("/recaptcha/api/siteverify"))
            }
            Vendor::RecaptchaEnterprise => {
                let kind = enterprise_kind(self.key, self.min_score)?;
                let project = self
                    .project
                    .ok_or_else(|| missing("project", "name the Google Cloud project"))?;
                let credential = match self.credential {
                    Some(credential) => credential,
                    None => Credential::api_key(secret?)?,
                };
                let recaptcha =
                    RecaptchaEnterprise::new(exchange, project, site_key?, credential, kind)?;
                fitted!(recaptcha, base)
            }
            Vendor::CaptchaLa => {
                let mut captchala = CaptchaLa::new(exchange, &site_key?, secret?)?;
                if self.offline {
                    captchala = captchala.accepting_offline_tokens();
                }
                let captchala = Arc::new(*fitted!(captchala, &base));
                issuer = Some(Arc::clone(&captchala) as Issuer);
                Box::new(captchala)
            }
        };
        Ok((check, issuer))
    }

    /// The vendor's widget, as its page shows it for these settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is missing or wrong, or the field cannot be renamed.
    pub fn widget(&self) -> Result<Widget, ConfigError> {
        let default = (self.vendor == Vendor::Altcha).then(|| CHALLENGES.to_owned());
        let site_key = self.site_key.clone().or(default).ok_or_else(|| {
            ConfigError::new(
                "site_key",
                "is missing",
                "copy it from the vendor's dashboard",
            )
        })?;
        let widget = match self.vendor {
            Vendor::Altcha => human_check_altcha::widget(site_key),
            Vendor::Turnstile => human_check_turnstile::widget(site_key),
            Vendor::Hcaptcha => human_check_hcaptcha::widget(site_key),
            Vendor::RecaptchaV2 => human_check_recaptcha::widget_v2(site_key),
            Vendor::RecaptchaV3 => human_check_recaptcha::widget_v3(site_key),
            Vendor::RecaptchaEnterprise => match self.key {
                Some(EnterpriseKey::Checkbox) => {
                    human_check_recaptcha::widget_enterprise_checkbox(site_key)
                }
                _ => human_check_recaptcha::widget_enterprise_score(site_key),
            },
            Vendor::CaptchaLa => human_check_captchala::widget(site_key),
        }?;
        match self.fields.first() {
            // A vendor whose script names the field itself still posts under that name, and a page
            // that copies it elsewhere says so by listing the other name only.
            Some(field) if renames_field(&widget) => widget.with_field(field.clone()),
            _ => Ok(widget),
        }
    }
}

fn renames_field(widget: &Widget) -> bool {
    widget.facts().hidden_input || widget.facts().field_attribute.is_some()
}

fn enterprise_kind(
    key: Option<EnterpriseKey>,
    min_score: Option<f64>,
) -> Result<KeyKind, ConfigError> {
    match (key, min_score) {
        (None | Some(EnterpriseKey::Score), Some(score)) => {
            Ok(KeyKind::Score(Score::humanity(score)?))
        }
        (Some(EnterpriseKey::Challenge), None) => Ok(KeyKind::Challenge),
        (Some(EnterpriseKey::Checkbox), None) => Ok(KeyKind::Checkbox),
        (Some(EnterpriseKey::Challenge | EnterpriseKey::Checkbox), Some(_)) => {
            Err(ConfigError::new(
                "min_score",
                "is given for a key without a threshold",
                "leave it out",
            ))
        }
        (None | Some(EnterpriseKey::Score), None) => Err(ConfigError::new(
            "min_score",
            "is missing",
            "give it for a score key, or say that it is a checkbox or challenge key",
        )),
    }
}

/// Where to ask instead of a vendor, such as an emulator: scheme, host and port.
///
/// # Errors
///
/// [`ConfigError`] when it is no such address, holds a path, or is plain `http` beyond loopback.
pub fn base_url(text: &str) -> Result<Endpoint, ConfigError> {
    let base = Endpoint::parse(text).map_err(|error| {
        let problem = error.problem().to_owned();
        ConfigError::new(
            "base_url",
            problem,
            "write https://host, or for an emulator on this machine http://127.0.0.1:8765",
        )
    })?;
    if base.url().path() != "/" {
        return Err(ConfigError::new(
            "base_url",
            "holds a path",
            "write scheme, host and port only; the vendor's path is added",
        ));
    }
    Ok(base)
}
