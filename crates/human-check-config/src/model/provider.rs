use std::time::Duration;

use serde::Deserialize;

use super::SecretRef;
use crate::{EnterpriseKeyKind, ProviderKind, duration};

/// One account: one set of keys with one provider.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(feature = "altcha"),
    allow(dead_code, reason = "altcha's keys are read all the same")
)]
pub(crate) struct ProviderTable {
    /// The kind of provider.
    pub(crate) kind: ProviderKind,
    /// The public key, which pages show. For altcha the path that pages fetch challenges from.
    /// Required, except for altcha, whose default is `/human-check-altcha/challenge`.
    pub(crate) site_key: Option<String>,
    /// Where the secret is. Default: the variable `HUMAN_CHECK_SECRET_…` with the account's name in
    /// capitals, and `_` for other characters than letters and digits.
    pub(crate) secret: Option<SecretRef>,
    /// Where the secret is that was in use before. Tokens of its challenges still pass. altcha
    /// only.
    pub(crate) previous_secret: Option<SecretRef>,
    /// The name of the site, which is signed into challenges. Required for altcha. altcha only.
    pub(crate) site: Option<String>,
    /// How much work a challenge takes: light, standard (default) or sha. altcha only.
    pub(crate) difficulty: Option<DifficultyName>,
    /// How long a challenge can be solved. Default "5m". altcha only.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) challenge_ttl: Option<Duration>,
    /// The Google Cloud project. reCAPTCHA Enterprise only.
    pub(crate) project: Option<String>,
    /// The kind of the key. reCAPTCHA Enterprise only.
    pub(crate) enterprise_key: Option<EnterpriseKeyKind>,
    /// The lowest score that passes, from 0 to 1, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// The highest risk that passes, on the provider's own scale: hCaptcha Enterprise 0 to 1,
    /// CaptchaLa 0 to 100.
    pub(crate) max_risk: Option<f64>,
    /// The hosts that may show this account's challenge. Default: every host.
    pub(crate) hostnames: Option<Vec<String>>,
    /// Whether the provider's published test keys are allowed. Never in production. Default false.
    #[serde(default)]
    pub(crate) allow_test_keys: bool,
    /// Whether CaptchaLa's offline tokens are verified, at its backup service. captchala only.
    /// Default false.
    #[serde(default)]
    pub(crate) accept_offline_tokens: bool,
    /// Scheme, host and port that are used instead of the provider's own host, such as those of an
    /// emulator.
    pub(crate) base_url: Option<String>,
    /// The form fields that the token arrives in, if the page renames them.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// How many checks may be in flight at once. Default 512.
    pub(crate) max_in_flight: Option<usize>,
    /// When to stop calling the provider for some time. Default: the defaults of that table.
    pub(crate) circuit_breaker: Option<CircuitBreakerTable>,
}

/// How much work a challenge of altcha takes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DifficultyName {
    /// For tests, demonstrations, and forms that are rarely attacked.
    Light,
    /// For browsers that can run no other algorithm. The cheapest one for an attacker.
    Sha,
    /// For sign-up forms. The default.
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

/// When to stop calling a provider for some time. A key that is left out has its default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CircuitBreakerTable {
    /// How many failures in a row open the circuit. Default 5.
    pub(crate) consecutive_failures: Option<u32>,
    /// The share of failed and slow calls that opens the circuit, from 0 to 1. Default 0.5.
    pub(crate) failure_ratio: Option<f64>,
    /// How many calls the window must hold before the ratio counts. Default 20.
    pub(crate) min_calls: Option<u32>,
    /// How far back calls count. Default "30s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) window: Option<Duration>,
    /// The duration from which on a call counts as slow. Default "1500ms".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) slow_call: Option<Duration>,
    /// How long the circuit stays open at first. Default "5s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) open_for: Option<Duration>,
    /// The longest time that the circuit stays open, after probes that failed. Default "60s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) max_open_for: Option<Duration>,
}
