use std::time::Duration;

use human_check_config::{EnterpriseKeyKind, ProviderKind};
use human_check_core::{ConfigError, Policy, Submission, TestKeyPolicy};
use serde::Deserialize;

/// The rules of a case. Unknown ones are an error: a misspelt rule must not be a missing rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Hosts that may show the challenge.
    #[serde(default)]
    pub hostnames: Option<Vec<String>>,
    /// Apps that may show it.
    #[serde(default, alias = "packages")]
    pub apps: Option<Vec<String>>,
    /// The expected action.
    #[serde(default)]
    pub action: Option<String>,
    /// The lowest score, 1 = human.
    #[serde(default)]
    pub min_score: Option<f64>,
    /// The highest risk on the provider's own scale.
    #[serde(default)]
    pub max_risk: Option<f64>,
    /// The highest age in seconds.
    #[serde(default)]
    pub max_age_s: Option<f64>,
    /// How far clocks may differ, in seconds.
    #[serde(default)]
    pub skew_s: Option<f64>,
    /// The expected cdata.
    #[serde(default)]
    pub cdata: Option<String>,
    /// The expected uid.
    #[serde(default)]
    pub uid: Option<String>,
    /// The kind of a reCAPTCHA Enterprise key.
    #[serde(default, alias = "mode")]
    pub key: Option<KeyName>,
    /// Whether answers to testing keys count.
    #[serde(default, alias = "test_keys_allowed")]
    pub allow_testing: Option<bool>,
    /// CaptchaLa: whether tokens of the backup service count.
    #[serde(default)]
    pub allow_offline: Option<bool>,
}

/// A kind of key; those of providers with only one kind may be named and change nothing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum KeyName {
    /// Of reCAPTCHA Enterprise.
    Enterprise(EnterpriseKeyKind),
    /// Of classic reCAPTCHA, where the provider says it already.
    Classic(ClassicKey),
}

/// A kind of classic key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassicKey {
    /// v2.
    V2,
    /// v3.
    V3,
}

impl Rules {
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

    /// The policy of these rules, without a score.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a rule is out of range.
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

    fn binding(&self) -> Result<Option<&String>, ConfigError> {
        match (&self.cdata, &self.uid) {
            (Some(_), Some(_)) => Err(ConfigError::new(
                "uid",
                "is given beside cdata",
                "give one of them",
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

    pub(crate) fn key_belongs_to(&self, provider: ProviderKind) -> bool {
        match self.key {
            None => true,
            Some(KeyName::Enterprise(_)) => provider == ProviderKind::RecaptchaEnterprise,
            Some(KeyName::Classic(ClassicKey::V2)) => provider == ProviderKind::RecaptchaV2,
            Some(KeyName::Classic(ClassicKey::V3)) => provider == ProviderKind::RecaptchaV3,
        }
    }

    /// The kind of a reCAPTCHA Enterprise key.
    pub fn enterprise_key(&self) -> Option<EnterpriseKeyKind> {
        match self.key {
            Some(KeyName::Enterprise(key)) => Some(key),
            _ => None,
        }
    }

    /// Returns whether replies to testing keys may count.
    pub fn test_keys(&self) -> TestKeyPolicy {
        match self.allow_testing {
            Some(true) => TestKeyPolicy::Allowed,
            _ => TestKeyPolicy::Refused,
        }
    }
}

fn seconds(field: &'static str, value: f64) -> Result<Duration, ConfigError> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| ConfigError::new(field, format!("is {value}"), "write seconds, zero or more"))
}
