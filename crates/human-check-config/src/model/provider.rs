use std::time::Duration;

use serde::Deserialize;

use super::SecretRef;
use crate::{EnterpriseKeyKind, ProviderKind, duration};

/// One account: one set of keys with one provider.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderTable {
    /// Which kind of provider.
    pub(crate) kind: ProviderKind,
    /// The public key, which pages show. For altcha the path that pages fetch challenges from, by
    /// default `/human-check-altcha/challenge`.
    pub(crate) site_key: Option<String>,
    /// Where the secret is. Default: the variable `HUMAN_CHECK_SECRET_…` with this account's name in
    /// capitals.
    pub(crate) secret: Option<SecretRef>,
    /// Where the secret before that one is, whose challenges still pass. altcha only.
    pub(crate) previous_secret: Option<SecretRef>,
    /// A name of the site, which is signed into challenges. Required for altcha, and only there.
    pub(crate) site: Option<String>,
    /// How much work a challenge is: light, standard (default) or sha. altcha only.
    pub(crate) difficulty: Option<DifficultyName>,
    /// How long a challenge can be solved. Default "5m". altcha only.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) challenge_ttl: Option<Duration>,
    /// The Google Cloud project. reCAPTCHA Enterprise only.
    pub(crate) project: Option<String>,
    /// What kind of key it is. reCAPTCHA Enterprise only.
    pub(crate) enterprise_key: Option<EnterpriseKeyKind>,
    /// The lowest score, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// The highest risk on the provider's own scale: hCaptcha Enterprise 0 to 1, CaptchaLa 0 to 100.
    pub(crate) max_risk: Option<f64>,
    /// The hosts that may show this account's challenge.
    pub(crate) hostnames: Option<Vec<String>>,
    /// Let the provider's published test keys work. Never in production.
    #[serde(default)]
    pub(crate) allow_test_keys: bool,
    /// Verify CaptchaLa's offline tokens at its backup service. captchala only.
    #[serde(default)]
    pub(crate) accept_offline_tokens: bool,
    /// Where calls go instead of the provider's own host, such as an emulator.
    pub(crate) base_url: Option<String>,
    /// The form fields that the token arrives in, where the page renames them.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// How many checks may be in flight at once. Default 512.
    pub(crate) max_in_flight: Option<usize>,
    /// When to stop calling the provider for a while.
    pub(crate) circuit_breaker: Option<CircuitBreakerTable>,
}

/// How much work a challenge is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DifficultyName {
    /// Hardly noticeable.
    Light,
    /// For browsers that can do nothing else.
    Sha,
    /// What a sign-up form can demand.
    Standard,
}

#[cfg(feature = "altcha")]
impl From<DifficultyName> for human_check_altcha::Difficulty {
    fn from(name: DifficultyName) -> Self {
        match name {
            DifficultyName::Light => Self::light(),
            DifficultyName::Sha => Self::sha(),
            DifficultyName::Standard => Self::standard(),
        }
    }
}

/// When to stop calling a provider for a while. What is left out has its default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CircuitBreakerTable {
    /// Failures in a row that open the circuit. Default 5.
    pub(crate) consecutive_failures: Option<u32>,
    /// The share of calls that failed or were slow, from 0 to 1. Default 0.5.
    pub(crate) failure_ratio: Option<f64>,
    /// How many calls there must be before the ratio counts. Default 20.
    pub(crate) min_calls: Option<u32>,
    /// How far back calls count. Default "30s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) window: Option<Duration>,
    /// From when on a call is slow. Default "1500ms".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) slow_call: Option<Duration>,
    /// How long the circuit stays open at first. Default "5s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) open_for: Option<Duration>,
    /// The longest time the circuit stays open. Default "60s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) max_open_for: Option<Duration>,
}
