use human_check_core::adapter::WidgetApi;
use human_check_core::{ConfigError, HumanCheck, Score, Secret, TestKeyPolicy, Widget};
use human_check_http::{Endpoint, ProviderClient};

#[cfg(feature = "altcha")]
use crate::AltchaConfig;
use crate::issuer::Issuer;
#[cfg(any(feature = "recaptcha", feature = "turnstile"))]
use crate::previous_secret::PreviousSecret;
use crate::{EnterpriseKeyKind, ProviderKind};

/// The settings of one account with a provider, for every kind of provider.
///
/// Use it where a program chooses the kind of provider at run time, without a whole
/// [`Deployment`](crate::Deployment). A kind reads the settings that it has a use for; the tables
/// in docs/reference/configuration.md#providersname-an-account say which.
///
/// ```
/// use human_check_config::{ProviderConfig, ProviderKind};
/// use human_check_core::{ConfigError, HumanCheck, Secret};
/// use human_check_http::ProviderClient;
///
/// fn check(
///     client: &ProviderClient,
///     kind: &str,
///     site_key: String,
///     secret: Secret,
/// ) -> Result<Box<dyn HumanCheck>, ConfigError> {
///     let kind = ProviderKind::from_name(kind)
///         .ok_or(ConfigError::new("kind", "is not known", "write one such as turnstile"))?;
///     let mut config = ProviderConfig::new(kind);
///     config.site_key = Some(site_key);
///     config.secret = Some(secret);
///     config.build(client)
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// The kind of provider.
    pub kind: ProviderKind,
    /// The site key, or the app key of CaptchaLa. For altcha the path that pages fetch challenges
    /// from, by default `/human-check-altcha/challenge`. The adapters of hCaptcha, CaptchaLa and
    /// reCAPTCHA Enterprise need it, and the [widget](Self::widget) of each kind except altcha.
    pub site_key: Option<String>,
    /// The secret, or the API key of reCAPTCHA Enterprise. Required, except with a `credential`.
    pub secret: Option<Secret>,
    /// Another secret of the account, which is tried when the provider does not know
    /// [`secret`](Self::secret). For Turnstile and for API keys of reCAPTCHA Enterprise. `None` by
    /// default.
    pub previous_secret: Option<Secret>,
    /// The sign-in to reCAPTCHA Enterprise, instead of an API key in `secret`.
    #[cfg(feature = "recaptcha")]
    pub credential: Option<human_check_recaptcha::Credential>,
    /// The Google Cloud project. Required for reCAPTCHA Enterprise, and unused elsewhere.
    pub project: Option<String>,
    /// The kind of a reCAPTCHA Enterprise key. Default: [`Score`](EnterpriseKeyKind::Score).
    pub enterprise_key: Option<EnterpriseKeyKind>,
    /// The lowest score that passes, from 0 to 1, where 1 is human. Required for reCAPTCHA v3 and
    /// for score keys of reCAPTCHA Enterprise. The adapters of these enforce it; for other kinds,
    /// [`policy_score`](Self::policy_score) returns it for a policy.
    pub min_score: Option<f64>,
    /// The highest risk that passes, on the provider's own scale: hCaptcha Enterprise 0 to 1,
    /// CaptchaLa 0 to 100. Not beside `min_score`.
    pub max_risk: Option<f64>,
    /// Whether the provider's published test keys are allowed. Default:
    /// [`Refused`](TestKeyPolicy::Refused).
    pub test_keys: TestKeyPolicy,
    /// Whether CaptchaLa's offline tokens are verified, at its backup service. Default `false`:
    /// they are declined. See docs/providers/captchala.md#offline-tokens.
    pub accept_offline_tokens: bool,
    /// Scheme, host and port that calls go to, and that the widget's script comes from, instead of
    /// the provider's own. [`parse_base_url`] reads one.
    pub base_url: Option<Endpoint>,
    /// The form fields that the token arrives in, if the page renames them. Empty for the
    /// provider's own.
    pub fields: Vec<String>,
    /// The URL of the widget's script, or its path on the site itself. Cap and Friendly Captcha have
    /// a [widget](Self::widget) with it only. Default: the provider's own.
    pub script_url: Option<String>,
    /// The theme of the widget, such as `dark`. Default: that of the widget.
    pub theme: Option<String>,
    /// The size of the widget, such as `compact`. Default: that of the widget.
    pub size: Option<String>,
    /// The language of the widget, as a language tag. Default: the widget chooses it.
    pub language: Option<String>,
    /// The base URL of the operator's own server. Required for cap and mcaptcha, and unused
    /// elsewhere.
    pub instance: Option<Endpoint>,
    /// The call of a provider of the kind siteverify. Required for it, and unused elsewhere.
    #[cfg(feature = "siteverify")]
    pub dialect: Option<human_check_siteverify::Dialect>,
    /// The description of the widget of a provider of the kind siteverify. Default: pages write the
    /// widget themselves.
    #[cfg(feature = "siteverify")]
    pub widget_spec: Option<&'static human_check_core::adapter::WidgetSpec>,
    /// The settings of altcha alone.
    #[cfg(feature = "altcha")]
    pub altcha: AltchaConfig,
}

/// The default path that pages fetch altcha's challenges from.
pub(crate) const CHALLENGE_PATH: &str = "/human-check-altcha/challenge";

impl ProviderConfig {
    /// Creates the settings of an account of this kind. Optional settings have their defaults, and
    /// required ones are still missing.
    pub fn new(kind: ProviderKind) -> Self {
        Self {
            kind,
            site_key: None,
            secret: None,
            previous_secret: None,
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
            script_url: None,
            theme: None,
            size: None,
            language: None,
            instance: None,
            #[cfg(feature = "siteverify")]
            dialect: None,
            #[cfg(feature = "siteverify")]
            widget_spec: None,
            #[cfg(feature = "altcha")]
            altcha: AltchaConfig::default(),
        }
    }

    /// Returns the lowest score that a policy must demand, from `min_score` or from CaptchaLa's
    /// `max_risk`.
    ///
    /// `None` when there is no threshold, and when the adapter itself enforces it, which are
    /// reCAPTCHA v3 and Enterprise, and `max_risk` of hCaptcha.
    ///
    /// ```
    /// use human_check_config::{ProviderConfig, ProviderKind};
    ///
    /// let mut config = ProviderConfig::new(ProviderKind::CaptchaLa);
    /// config.max_risk = Some(75.0); // of 100
    /// assert_eq!(config.policy_score()?.map(|score| score.human()), Some(0.25));
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a threshold is out of range or means nothing for this kind of provider,
    /// or both thresholds are set.
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

    /// Builds the adapter, without a policy. Add [`policy_score`](Self::policy_score) to one, or
    /// use [`NamedProvider::build`](crate::NamedProvider::build), which does.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a required setting is missing, or a setting is wrong.
    pub fn build(self, client: &ProviderClient) -> Result<Box<dyn HumanCheck>, ConfigError> {
        Ok(self.build_both(client)?.0)
    }

    /// Builds the adapter, and the issuer of its challenges or server tokens, if its kind has one.
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
        #[cfg(feature = "siteverify")]
        let provider = self
            .dialect
            .as_ref()
            .map_or(provider, |dialect| dialect.provider());
        let mut client = client.clone().with_test_keys(self.test_keys);
        if let Some(base) = self.base_url {
            client = client.with_base_url(provider, base);
        }
        let client = &client;
        let fields = self.fields;
        let secret = self
            .secret
            .ok_or_else(|| missing("secret", "give the secret key"));
        let site_key = self
            .site_key
            .ok_or_else(|| missing("site_key", "copy it from the provider's dashboard"));
        #[allow(
            unused_macros,
            reason = "some sets of features use it, and some do not"
        )]
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

                let mut hcaptcha = Hcaptcha::new(client, site_key?, secret?)?;
                if let Some(risk) = self.max_risk {
                    hcaptcha = hcaptcha.with_max_risk(risk)?;
                }
                Box::new(with_fields!(hcaptcha))
            }
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV2 => {
                use human_check_recaptcha::RecaptchaV2;

                let recaptcha = RecaptchaV2::new(client, secret?)?;
                Box::new(with_fields!(recaptcha))
            }
            #[cfg(feature = "recaptcha")]
            ProviderKind::RecaptchaV3 => {
                use human_check_recaptcha::RecaptchaV3;

                let min_score = self.min_score.ok_or_else(|| {
                    missing(
                        "min_score",
                        "write the lowest score that passes, such as 0.5",
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
                let site_key = site_key?;
                let build = |credential| -> Result<Box<dyn HumanCheck>, ConfigError> {
                    let (project, site_key, fields) =
                        (project.clone(), site_key.clone(), fields.clone());
                    let recaptcha =
                        RecaptchaEnterprise::new(client, project, site_key, credential, kind)?;
                    Ok(Box::new(match fields.is_empty() {
                        true => recaptcha,
                        false => recaptcha.with_form_fields(fields),
                    }))
                };
                let credential = match self.credential {
                    Some(credential) => credential,
                    None => Credential::api_key(secret?)?,
                };
                let previous = self.previous_secret.map(Credential::api_key).transpose()?;
                PreviousSecret::or_alone(build(credential)?, previous.map(build).transpose()?)
            }
            #[cfg(feature = "siteverify")]
            ProviderKind::Cap
            | ProviderKind::CaptchaFox
            | ProviderKind::FriendlyCaptcha
            | ProviderKind::MCaptcha
            | ProviderKind::Siteverify => {
                use human_check_siteverify::{Dialect, SiteVerify};

                let instance = self.instance.ok_or_else(|| {
                    missing(
                        "instance",
                        "write the URL of your server, such as https://cap.example.com",
                    )
                });
                let dialect = match self.kind {
                    ProviderKind::Cap => Dialect::cap(&instance?, &site_key?)?,
                    ProviderKind::CaptchaFox => Dialect::captchafox(&site_key?)?,
                    ProviderKind::FriendlyCaptcha => Dialect::friendly_captcha(&site_key?)?,
                    ProviderKind::MCaptcha => Dialect::mcaptcha(&instance?, &site_key?)?,
                    _ => self
                        .dialect
                        .ok_or_else(|| missing("dialect", "describe the call of the provider"))?,
                };
                let dialect = match fields.is_empty() {
                    true => dialect,
                    false => dialect.with_form_fields(fields),
                };
                Box::new(SiteVerify::new(client, dialect, secret?)?)
            }
            ProviderKind::Registered => {
                let problem = "is registered in code, and only a deployment can build it";
                let remedy = "build a `Deployment` with `DeploymentBuilder::with_adapter`";
                return Err(ConfigError::new("kind", problem, remedy));
            }
            #[cfg(feature = "turnstile")]
            ProviderKind::Turnstile => {
                use human_check_turnstile::Turnstile;

                let build = |secret| -> Result<Box<dyn HumanCheck>, ConfigError> {
                    let turnstile = Turnstile::new(client, secret)?;
                    Ok(Box::new(match fields.is_empty() {
                        true => turnstile,
                        false => turnstile.with_form_fields(fields.clone()),
                    }))
                };
                let previous = self.previous_secret.map(build).transpose()?;
                PreviousSecret::or_alone(build(secret?)?, previous)
            }
        };
        Ok((check, None))
    }

    /// Returns whether there is a widget for these settings. If not, pages write it themselves: for
    /// registered adapters, for Cap and Friendly Captcha without a `script_url`, and for siteverify
    /// without a `widget_spec`.
    pub fn has_widget(&self) -> bool {
        match self.kind {
            #[cfg(feature = "siteverify")]
            ProviderKind::Cap | ProviderKind::FriendlyCaptcha => self.script_url.is_some(),
            #[cfg(feature = "siteverify")]
            ProviderKind::Siteverify => self.widget_spec.is_some(),
            ProviderKind::Registered => false,
            _ => true,
        }
    }

    /// Returns the widget that pages show for these settings: with the site key, the first of
    /// [`fields`](Self::fields), and the script from [`base_url`](Self::base_url).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the site key is missing or wrong, the field cannot be renamed, or there is
    /// [none](Self::has_widget).
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
            #[cfg(feature = "siteverify")]
            ProviderKind::Cap => {
                let (instance, script) = (self.instance.as_ref(), self.script_url.as_ref());
                match instance.zip(script) {
                    Some((instance, script)) => {
                        human_check_siteverify::widget_cap(instance, &site_key, script)
                    }
                    None => Err(no_widget()),
                }
            }
            #[cfg(feature = "siteverify")]
            ProviderKind::CaptchaFox => human_check_siteverify::widget_captchafox(site_key),
            #[cfg(feature = "siteverify")]
            ProviderKind::FriendlyCaptcha => match &self.script_url {
                Some(script) => human_check_siteverify::widget_friendly_captcha(site_key, script),
                None => Err(no_widget()),
            },
            #[cfg(feature = "siteverify")]
            ProviderKind::Siteverify => match (&self.dialect, self.widget_spec) {
                (Some(dialect), Some(spec)) => Widget::new(dialect.provider(), site_key, spec),
                _ => Err(no_widget()),
            },
            #[cfg(feature = "siteverify")]
            ProviderKind::MCaptcha => match &self.instance {
                Some(instance) => human_check_siteverify::widget_mcaptcha(instance, &site_key),
                None => Err(no_widget()),
            },
            ProviderKind::Registered => Err(no_widget()),
            #[cfg(feature = "turnstile")]
            ProviderKind::Turnstile => human_check_turnstile::widget(site_key),
        }?;
        let mut widget = match (&self.script_url, &self.base_url) {
            (Some(script), _) => widget.with_script_url(script)?,
            // A frame is shown from the instance, whose address is a key of its own.
            (None, Some(base)) if widget.spec().api != WidgetApi::Frame => {
                with_script_from(widget, base)?
            }
            (None, _) => widget,
        };
        if let Some(theme) = &self.theme {
            widget = widget.with_theme(theme)?;
        }
        if let Some(size) = &self.size {
            widget = widget.with_size(size)?;
        }
        if let Some(language) = &self.language {
            widget = widget.with_language(language.clone())?;
        }
        match self.fields.first() {
            // Some scripts choose the name of the field themselves. Their widget keeps it, and
            // `fields` names the fields that the page copies the token to.
            Some(field) if renames_field(&widget) => widget.with_field(field.clone()),
            _ => Ok(widget),
        }
    }
}

/// Returns the error of a kind whose pages write the widget themselves.
fn no_widget() -> ConfigError {
    ConfigError::new(
        "script_url",
        "is missing, so there is no widget",
        "write the path of the widget's script, or write the widget into the page",
    )
}

/// Returns the widget with its script from `base`, under the path that it has with its provider.
fn with_script_from(widget: Widget, base: &Endpoint) -> Result<Widget, ConfigError> {
    let script = widget.script_url();
    let path = script
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    match path {
        Some((_, path)) => {
            let moved = base.at_path(&format!("/{path}"));
            widget.with_script_url(moved.url().as_str())
        }
        // The operator's own site serves the script already.
        None => Ok(widget),
    }
}

/// Returns whether the page can choose the name of the widget's form field.
fn renames_field(widget: &Widget) -> bool {
    widget.spec().hidden_input || widget.spec().field_attribute.is_some()
}

/// Returns the kind of a reCAPTCHA Enterprise key, with its threshold.
#[cfg(feature = "recaptcha")]
fn enterprise_kind(
    key: Option<EnterpriseKeyKind>,
    min_score: Option<f64>,
) -> Result<human_check_recaptcha::KeyKind, ConfigError> {
    use human_check_recaptcha::KeyKind;

    let wrong = |problem, remedy| Err(ConfigError::new("min_score", problem, remedy));
    let min_score = min_score.map(Score::humanity).transpose();
    let min_score = min_score.map_err(|error| error.with_field("min_score"))?;
    match (key, min_score) {
        (None | Some(EnterpriseKeyKind::Score), Some(score)) => Ok(KeyKind::Score(score)),
        (Some(EnterpriseKeyKind::Challenge), Some(score)) => Ok(KeyKind::Challenge(score)),
        (Some(EnterpriseKeyKind::Checkbox), None) => Ok(KeyKind::Checkbox),
        (Some(EnterpriseKeyKind::Checkbox), Some(_)) => {
            wrong("is given for a key without a threshold", "leave it out")
        }
        (Some(EnterpriseKeyKind::Challenge), None) => wrong(
            "is missing, so each visitor to whom Google shows no challenge would pass",
            "write the lowest score that passes without a challenge, such as 0.5",
        ),
        (None | Some(EnterpriseKeyKind::Score), None) => wrong(
            "is missing",
            "write the lowest score that passes, such as 0.5, or set enterprise_key to checkbox",
        ),
    }
}

/// Parses a base URL, which replaces scheme, host and port of a provider, such as that of an
/// emulator.
///
/// ```
/// use human_check_config::parse_base_url;
///
/// assert!(parse_base_url("http://127.0.0.1:8765").is_ok());
/// assert!(parse_base_url("http://emulator.example").is_err()); // only loopback may be plain http
/// assert!(parse_base_url("https://emulator.example/turnstile").is_err()); // a path
/// ```
///
/// # Errors
///
/// [`ConfigError`] when the text is not a URL, has a path, or is plain `http` to a host other than
/// loopback.
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
