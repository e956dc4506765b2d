use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

#[cfg(feature = "siteverify")]
use super::DialectTable;
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
    /// Where the secret is that was in use before, or that comes into use soon. For altcha tokens of
    /// its challenges still pass; for turnstile and recaptcha-enterprise it is tried when the
    /// provider does not know the present secret.
    pub(crate) previous_secret: Option<SecretRef>,
    /// The name of the site, which is signed into challenges. Required for altcha. altcha only.
    pub(crate) site: Option<String>,
    /// How much work a challenge takes: light, standard (default) or sha. altcha only.
    pub(crate) difficulty: Option<DifficultyName>,
    /// How long a challenge can be solved. Default "5m". altcha only.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) challenge_ttl: Option<Duration>,
    /// The base URL of a server of your own. cap and mcaptcha only.
    pub(crate) instance: Option<String>,
    /// The siteverify call of a provider without a kind of its own. siteverify only.
    #[cfg(feature = "siteverify")]
    pub(crate) dialect: Option<DialectTable>,
    /// Settings of an adapter that the program registered in code, as texts, numbers or booleans.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Setting>,
    /// The name of the kind that the program registered in code. No file sets it.
    #[serde(default, rename = "registered kind")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub(crate) registered_kind: Option<String>,
    /// Where the key file of a service account is, for signing in to Google Cloud. reCAPTCHA
    /// Enterprise only.
    pub(crate) service_account: Option<SecretRef>,
    /// Whether to sign in to Google Cloud by the metadata server of the machine. reCAPTCHA
    /// Enterprise only. Default false.
    #[serde(default)]
    pub(crate) metadata_server: bool,
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
    /// The apps that may show this account's challenge, as package names and bundle ids. With
    /// `hostnames`, one of both is enough. Default: every app, unless `hostnames` is set.
    pub(crate) apps: Option<Vec<String>>,
    /// The URL of the widget's script, or its path on the site itself. Default: the provider's own.
    pub(crate) script_url: Option<String>,
    /// The theme of the widget, such as light or dark.
    pub(crate) theme: Option<String>,
    /// The size of the widget, such as compact.
    pub(crate) size: Option<String>,
    /// The language of the widget, as a language tag. Default: the widget chooses it.
    pub(crate) language: Option<String>,
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
    /// Whether to find out about every 30 seconds whether the widget's script can be loaded. While it
    /// cannot, new pages show the next account. Default false.
    #[serde(default)]
    pub(crate) probe_script: bool,
    /// Whether the account counts as down whatever health probes say. Default false.
    #[serde(default)]
    pub(crate) force_down: bool,
    /// How many health probes this process sends a day, beyond which it sends two in five minutes.
    /// Providers that bill by the call bill them. Default 1000, for recaptcha-enterprise 100.
    pub(crate) max_probes_per_day: Option<u32>,
    /// How many calls of a month the account has, of all machines that share the attempt store. They are
    /// counted, and warnings say when 80 % are used or the rest does not last. Default: not counted.
    pub(crate) monthly_quota: Option<u32>,
    /// The share of the monthly quota from which on the account declines, such as 0.95. Default: never.
    pub(crate) quota_stop_at: Option<f64>,
    /// How many checks may be in flight at once. Default 512.
    pub(crate) max_in_flight: Option<usize>,
    /// When to stop calling the provider for some time. Default: the defaults of that table.
    pub(crate) circuit_breaker: Option<CircuitBreakerTable>,
}

/// One setting of a registered adapter, as text.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(crate) enum Setting {
    /// A text.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Number(f64),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
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
