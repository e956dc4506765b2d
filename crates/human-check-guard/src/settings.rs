use std::time::Duration;

use human_check_core::{ConfigError, Policy, Score};
use serde::Deserialize;

use crate::{BodyLimits, ClientAddress, Guard, GuardBuilder, RoutePolicy};

/// What a deployment may decide about a guard without recompiling.
///
/// A table of a configuration file. Unknown keys are errors. Only `on_outage` has no default.
///
/// ```
/// use human_check_guard::{Guard, Settings};
/// # let turnstile = human_check_testkit::Scripted::human();
/// let settings: Settings = serde_json::from_str(
///     r#"{
///         "route": "signup",
///         "on_outage": "refuse",
///         "client_address": "x-forwarded-for",
///         "trusted_proxies": ["10.0.0.0/8"]
///     }"#,
/// )?;
/// let guard = settings.build(Guard::builder(turnstile))?;
/// assert_eq!(guard.policy().name(), "signup");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the route in logs and metrics. Default `site`.
    pub route: Option<String>,
    /// What happens while the vendor is down.
    pub on_outage: OnOutage,
    /// The action that the challenge must have been solved for.
    pub action: Option<String>,
    /// The hosts that may show the challenge.
    pub hostnames: Option<Vec<String>>,
    /// The lowest score, where 1 is human.
    pub min_score: Option<f64>,
    /// How old a solved challenge may be, in seconds.
    pub max_age_s: Option<u64>,
    /// Let the vendor's published testing keys prove a human. Never in production. Default false.
    #[serde(default)]
    pub allow_testing_credentials: bool,
    /// Decide and log, and refuse nobody but for bodies beyond the limits. Default false.
    #[serde(default)]
    pub observe_only: bool,
    /// The header that scripts send a token in. Default `X-Captcha-Token`.
    pub header: Option<String>,
    /// Where the visitor's address comes from: `socket` (default), `x-forwarded-for`, `forwarded`,
    /// `cloudflare`, or the name of a header with one address.
    pub client_address: Option<String>,
    /// The proxies that may write it. Cloudflare's own networks if it is `cloudflare`.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// The header with the visitor's country.
    pub country_header: Option<String>,
    /// The largest form or JSON body, in bytes.
    pub body_cap: Option<usize>,
    /// How long such a body may take, in seconds.
    pub body_deadline_s: Option<u64>,
    /// The largest multipart body, in bytes.
    pub upload_cap: Option<usize>,
    /// How long a multipart body may take, in seconds.
    pub upload_deadline_s: Option<u64>,
}

/// What happens while nobody can tell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum OnOutage {
    /// Everybody is refused.
    Refuse,
    /// Everybody is let in, unproven.
    LetIn,
}

impl Settings {
    /// The least that can be set.
    pub fn new(on_outage: OnOutage) -> Self {
        Self {
            route: None,
            on_outage,
            action: None,
            hostnames: None,
            min_score: None,
            max_age_s: None,
            allow_testing_credentials: false,
            observe_only: false,
            header: None,
            client_address: None,
            trusted_proxies: Vec::new(),
            country_header: None,
            body_cap: None,
            body_deadline_s: None,
            upload_cap: None,
            upload_deadline_s: None,
        }
    }

    /// The guard that these settings describe.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting is wrong, or does not fit the check.
    pub fn build(self, builder: GuardBuilder) -> Result<Guard, ConfigError> {
        let policy = self.route_policy()?;
        self.apply(builder)?.build(policy)
    }

    /// What of these settings concerns the whole site, put into `builder`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting is wrong.
    pub fn apply(self, builder: GuardBuilder) -> Result<GuardBuilder, ConfigError> {
        let mut builder = builder
            .with_client_address(self.client_address()?)
            .with_body_limits(self.body_limits());
        if let Some(header) = self.header {
            builder = builder.with_header(header);
        }
        if let Some(header) = self.country_header {
            builder = builder.with_country_header(header);
        }
        Ok(builder)
    }

    /// What of them concerns the route.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a setting is wrong.
    pub fn route_policy(&self) -> Result<RoutePolicy, ConfigError> {
        let name = self.route.clone().unwrap_or_else(|| "site".to_owned());
        let mut policy = match self.on_outage {
            OnOutage::Refuse => RoutePolicy::closed_on_outage(name),
            OnOutage::LetIn => RoutePolicy::open_on_outage(name),
        };
        if let Some(action) = &self.action {
            policy = policy.with_action(action.clone());
        }
        if self.observe_only {
            policy = policy.observing_only();
        }
        let mut required = Policy::new();
        if self.allow_testing_credentials {
            required = required.allowing_testing_credentials();
        }
        if let Some(hostnames) = &self.hostnames {
            required = required.with_hostnames(hostnames)?;
        }
        if let Some(score) = self.min_score {
            required = required.with_min_score(Score::humanity(score)?);
        }
        if let Some(age) = self.max_age_s {
            required = required.with_max_age(Duration::from_secs(age));
        }
        Ok(policy.requiring(required))
    }

    fn client_address(&self) -> Result<ClientAddress, ConfigError> {
        let trusted = &self.trusted_proxies;
        let source = self.client_address.as_deref().unwrap_or("socket");
        let source = source.to_ascii_lowercase();
        match source.as_str() {
            "socket" if trusted.is_empty() => Ok(ClientAddress::socket()),
            "socket" => Err(ConfigError::new(
                "trusted_proxies",
                "are listed, and nothing is read from them",
                "say which header they write, for example client_address = \"x-forwarded-for\"",
            )),
            "x-forwarded-for" => ClientAddress::x_forwarded_for(trusted),
            "forwarded" => ClientAddress::forwarded(trusted),
            "cloudflare" if trusted.is_empty() => Ok(ClientAddress::cloudflare()),
            "cloudflare" => ClientAddress::cloudflare_behind(trusted),
            header => ClientAddress::header(header, trusted).map_err(|error| {
                let field = match error.field() {
                    "header" => "client_address",
                    _ => "trusted_proxies",
                };
                ConfigError::new(field, error.problem().to_owned(), error.remedy().to_owned())
            }),
        }
    }

    fn body_limits(&self) -> BodyLimits {
        let default = BodyLimits::default();
        let seconds = |set: Option<u64>, default| set.map_or(default, Duration::from_secs);
        BodyLimits {
            body: self.body_cap.unwrap_or(default.body),
            body_deadline: seconds(self.body_deadline_s, default.body_deadline),
            upload: self.upload_cap.unwrap_or(default.upload),
            upload_deadline: seconds(self.upload_deadline_s, default.upload_deadline),
        }
    }
}
