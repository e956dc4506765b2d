use std::time::Duration;

use human_check_config::{EnterpriseKeyKind, ProviderKind};
use human_check_core::{ConfigError, Policy, Submission, TestKeyPolicy};
use serde::Deserialize;

/// The rules that a verdict must satisfy, as a route would set them. All are optional.
///
/// In JSON an unknown rule is an error, so that a misspelt rule is not silently missing.
///
/// ```
/// use human_check_explain::Rules;
///
/// let rules = Rules {
///     hostnames: Some(vec!["www.example.com".to_owned()]),
///     action: Some("signup".to_owned()),
///     ..Rules::default()
/// };
/// let policy = rules.policy()?;
/// # let _ = policy;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The hosts that may show the challenge.
    #[serde(default)]
    pub hostnames: Option<Vec<String>>,
    /// The apps that may show the challenge, by package name or bundle id. Also read as `packages`.
    #[serde(default, alias = "packages")]
    pub apps: Option<Vec<String>>,
    /// The expected action.
    #[serde(default)]
    pub action: Option<String>,
    /// The minimum score, from 0 (bot) to 1 (human).
    #[serde(default)]
    pub min_score: Option<f64>,
    /// The maximum risk, on the provider's own scale: 0 to 1 for hCaptcha, 0 to 100 for CaptchaLa.
    #[serde(default)]
    pub max_risk: Option<f64>,
    /// The maximum age of a token, in seconds.
    #[serde(default)]
    pub max_age_s: Option<f64>,
    /// How far the provider's clock and this one may differ, in seconds.
    #[serde(default)]
    pub skew_s: Option<f64>,
    /// The expected binding, by its name at Turnstile, `cdata`.
    #[serde(default)]
    pub cdata: Option<String>,
    /// The expected binding, by its name at CaptchaLa, `uid`. Give only one of `cdata` and `uid`.
    #[serde(default)]
    pub uid: Option<String>,
    /// The kind of a reCAPTCHA key. Also read as `mode`. It decides for Enterprise; the other kinds
    /// may be named and change nothing.
    #[serde(default, alias = "mode")]
    pub key: Option<KeyName>,
    /// Whether replies to test keys may pass. Also read as `test_keys_allowed`. Default: `false`.
    #[serde(default, alias = "test_keys_allowed")]
    pub allow_testing: Option<bool>,
    /// Whether tokens of CaptchaLa's backup service may pass. Default: `false`.
    #[serde(default)]
    pub allow_offline: Option<bool>,
}

/// The kind of a reCAPTCHA key, for [`Rules::key`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum KeyName {
    /// A kind of reCAPTCHA Enterprise key: `score`, `checkbox` or `challenge`.
    Enterprise(EnterpriseKeyKind),
    /// A kind of key that the provider already implies: `v2` or `v3`. It changes nothing, and is an
    /// error with another provider.
    Classic(ClassicKey),
}

/// The kind of a reCAPTCHA key that siteverify verifies.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassicKey {
    /// A key of reCAPTCHA v2.
    V2,
    /// A key of reCAPTCHA v3.
    V3,
}

impl Rules {
    /// The names of all rules, with their aliases and `hostname`, which is a likely misspelling.
    pub(crate) const MEMBERS: [&str; 16] = [
        "hostnames",
        "hostname",
        "apps",
        "packages",
        "action",
        "min_score",
        "max_risk",
        "max_age_s",
        "skew_s",
        "cdata",
        "uid",
        "key",
        "mode",
        "allow_testing",
        "test_keys_allowed",
        "allow_offline",
    ];

    /// Returns the policy of these rules, without the score rules, the binding and the kind of key.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a rule is out of range, or no host or app is valid.
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        let mut policy = Policy::new();
        if self.hostnames.is_some() || self.apps.is_some() {
            let hostnames = self.hostnames.iter().flatten();
            policy = policy.with_hostnames_or_apps(hostnames, self.apps.iter().flatten())?;
        }
        if let Some(action) = &self.action {
            policy = policy.with_action(action);
        }
        if let Some(age) = self.max_age_s {
            policy = policy.with_max_age(seconds("max_age_s", age)?);
        }
        if let Some(skew) = self.skew_s {
            policy = policy.with_clock_skew(seconds("skew_s", skew)?);
        }
        Ok(policy.with_test_keys(self.test_keys()))
    }

    /// Returns the expected binding.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both names for it are given.
    fn binding(&self) -> Result<Option<&String>, ConfigError> {
        match (&self.cdata, &self.uid) {
            (Some(_), Some(_)) => Err(ConfigError::new(
                "uid",
                "is set, and cdata as well",
                "set only one of them",
            )),
            (cdata, uid) => Ok(cdata.as_ref().or(uid.as_ref())),
        }
    }

    /// Returns a submission that expects the action and the binding of these rules.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when both `cdata` and `uid` are given.
    pub fn submission(&self) -> Result<Submission, ConfigError> {
        let mut submission = Submission::new();
        if let Some(action) = &self.action {
            submission = submission.with_expected_action(action.clone());
        }
        if let Some(binding) = self.binding()? {
            submission = submission.with_expected_binding(binding);
        }
        Ok(submission)
    }

    /// Returns whether the provider has keys of the given kind.
    pub(crate) fn key_belongs_to(&self, provider: ProviderKind) -> bool {
        match self.key {
            None => true,
            Some(KeyName::Enterprise(_)) => provider == ProviderKind::RecaptchaEnterprise,
            Some(KeyName::Classic(ClassicKey::V2)) => provider == ProviderKind::RecaptchaV2,
            Some(KeyName::Classic(ClassicKey::V3)) => provider == ProviderKind::RecaptchaV3,
        }
    }

    /// Returns the kind of a reCAPTCHA Enterprise key, or `None` when the rules name no such kind.
    pub fn enterprise_key(&self) -> Option<EnterpriseKeyKind> {
        match self.key {
            Some(KeyName::Enterprise(key)) => Some(key),
            _ => None,
        }
    }

    /// Returns whether replies to test keys may pass.
    pub fn test_keys(&self) -> TestKeyPolicy {
        match self.allow_testing {
            Some(true) => TestKeyPolicy::Allowed,
            _ => TestKeyPolicy::Refused,
        }
    }
}

/// Converts seconds of the rule `field`.
///
/// # Errors
///
/// [`ConfigError`] when they are negative or not a number.
fn seconds(field: &'static str, value: f64) -> Result<Duration, ConfigError> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| ConfigError::new(field, format!("is {value}"), "write seconds, zero or more"))
}
