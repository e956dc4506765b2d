use crate::suggestion::suggestion;
use std::fmt;

use human_check_core::Provider;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Declares the kinds in one table: variant, name in configurations, feature, the adapter's
/// provider.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $feature:literal, $provider:path;)*) => {
        /// A kind of provider that a configuration can name, such as `turnstile`.
        ///
        /// Each kind is a feature of this crate, and a program has the kinds that it was built
        /// with.
        ///
        /// ```
        /// use human_check_config::ProviderKind;
        ///
        /// assert_eq!(ProviderKind::from_name("recaptcha-v3"), Some(ProviderKind::RecaptchaV3));
        /// assert_eq!(ProviderKind::RecaptchaV3.to_string(), "recaptcha-v3");
        /// ```
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum ProviderKind {
            $($(#[$doc])* #[cfg(feature = $feature)] $variant,)*
            /// An adapter that the program registered in code; see
            /// [`DeploymentBuilder::with_adapter`](crate::DeploymentBuilder::with_adapter).
            Registered,
        }

        impl ProviderKind {
            /// All kinds that this program was built with, without
            /// [`Registered`](Self::Registered), in the order in which tables show them.
            pub const ALL: &[Self] = &[$(#[cfg(feature = $feature)] Self::$variant,)*];

            /// Returns the provider of the kind's adapter, which has the default form fields.
            ///
            /// An account of the kind `siteverify` or of a registered one has a provider of its own,
            /// and this one is in its place.
            pub fn provider(self) -> &'static Provider {
                match self {
                    $(#[cfg(feature = $feature)] Self::$variant => &$provider,)*
                    Self::Registered => &REGISTERED,
                }
            }
        }

        /// The names of all kinds, and the feature that each needs, also of those that are not
        /// built.
        const NAMES: &[(&str, &str)] = &[$(($name, $feature),)*];
    };
}

kinds! {
    /// Cloudflare Turnstile.
    Turnstile, "turnstile", "turnstile", human_check_turnstile::TURNSTILE;
    /// hCaptcha, free or Enterprise.
    Hcaptcha, "hcaptcha", "hcaptcha", human_check_hcaptcha::HCAPTCHA;
    /// reCAPTCHA v2.
    RecaptchaV2, "recaptcha-v2", "recaptcha", human_check_recaptcha::RECAPTCHA_V2;
    /// reCAPTCHA v3.
    RecaptchaV3, "recaptcha-v3", "recaptcha", human_check_recaptcha::RECAPTCHA_V3;
    /// reCAPTCHA Enterprise.
    RecaptchaEnterprise, "recaptcha-enterprise", "recaptcha", human_check_recaptcha::RECAPTCHA_ENTERPRISE;
    /// CaptchaLa.
    CaptchaLa, "captchala", "captchala", human_check_captchala::CAPTCHALA;
    /// ALTCHA, a proof of work that the program itself issues and judges.
    Altcha, "altcha", "altcha", human_check_altcha::ALTCHA;
    /// Cap Standalone, a proof of work on a server of the operator.
    Cap, "cap", "siteverify", human_check_siteverify::CAP;
    /// CaptchaFox.
    CaptchaFox, "captchafox", "siteverify", human_check_siteverify::CAPTCHAFOX;
    /// Friendly Captcha v2.
    FriendlyCaptcha, "friendly-captcha", "siteverify", human_check_siteverify::FRIENDLY_CAPTCHA;
    /// mCaptcha, a proof of work on a server of the operator.
    MCaptcha, "mcaptcha", "siteverify", human_check_siteverify::MCAPTCHA;
    /// Any provider whose siteverify call the configuration describes.
    Siteverify, "siteverify", "siteverify", SITEVERIFY;
}

/// The provider in the place of that of a siteverify account, which is named after the account.
#[cfg(feature = "siteverify")]
static SITEVERIFY: Provider = Provider::new("siteverify", &[]);

/// The provider in the place of that of a registered adapter.
static REGISTERED: Provider = Provider::new("registered", &[]);

/// The text that stands for a registered kind, after the document was read. No file can mean it.
pub(crate) const REGISTERED_KIND: &str = "registered in code";

impl ProviderKind {
    /// Returns the name in configurations and on command lines, such as `recaptcha-v3`. It is also
    /// the name of the [provider](Self::provider).
    pub fn as_str(self) -> &'static str {
        self.provider().name()
    }

    /// Returns the kind with this [name](Self::as_str), in lower or upper case. `None` for an
    /// unknown name, and for a kind that this program was built without.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }

    /// Returns whether the program itself judges tokens of this kind, without a call to a provider.
    /// Only altcha is of this kind.
    pub fn is_self_hosted(self) -> bool {
        self.as_str() == "altcha"
    }

    /// Returns whether the provider looks at the secret before the token, so that a token which it has
    /// not issued tells whether the secret is right. hCaptcha judges the token first; of the others
    /// nothing is known.
    pub(crate) fn junk_token_tells_wrong_secret(self) -> bool {
        matches!(
            self.as_str(),
            "turnstile" | "recaptcha-v2" | "recaptcha-v3" | "recaptcha-enterprise"
        )
    }

    /// Returns whether the adapter of this kind is the generic one of `human-check-siteverify`.
    pub fn is_siteverify(self) -> bool {
        matches!(
            self.as_str(),
            "cap" | "captchafox" | "friendly-captcha" | "mcaptcha" | "siteverify"
        )
    }

    /// Returns whether the application issues challenges or server tokens for pages of this kind.
    pub(crate) fn issues_challenges(self) -> bool {
        matches!(self.as_str(), "altcha" | "captchala")
    }

    /// Returns the remedy of an error about a name that is not a kind.
    pub(crate) fn remedy(name: &str) -> String {
        let known: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
        let known = known.join(", ");
        let built_without = NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        match built_without {
            Some((name, feature)) => format!(
                "write one of {known}, or build the program with the feature `{feature}` for {name}"
            ),
            None => suggestion(name, Self::ALL.iter().map(|kind| kind.as_str())),
        }
    }

    /// Returns the keys of `[providers.NAME]` that mean nothing for this kind. Each has a reason
    /// that continues the error, or an empty one.
    ///
    /// They are errors, because an operator would take an ignored key for a rule in force.
    pub(crate) fn meaningless_keys(self) -> Vec<(&'static str, &'static str)> {
        const ALTCHA_ONLY: [&str; 3] = ["challenge_ttl", "difficulty", "site"];
        const ENTERPRISE_ONLY: [&str; 4] = [
            "enterprise_key",
            "metadata_server",
            "project",
            "service_account",
        ];
        const NO_NETWORK: &str = ", which needs no network";
        let mut keys = Vec::new();
        let name = self.as_str();
        if name == "altcha" {
            keys.extend([
                ("allow_test_keys", ""),
                ("base_url", NO_NETWORK),
                ("circuit_breaker", NO_NETWORK),
                ("apps", ", whose tokens do not say where they were solved"),
                (
                    "hostnames",
                    ", whose tokens do not say where they were solved",
                ),
                ("max_in_flight", NO_NETWORK),
                ("max_probes_per_day", NO_NETWORK),
                ("monthly_quota", NO_NETWORK),
                ("quota_stop_at", NO_NETWORK),
                ("probe_script", NO_NETWORK),
                ("max_risk", ""),
                ("min_score", ""),
            ]);
        } else {
            keys.extend(ALTCHA_ONLY.map(|key| (key, "")));
            if !matches!(name, "turnstile" | "recaptcha-enterprise") {
                keys.push((
                    "previous_secret",
                    ", which does not tell whether a wrong secret uses the token up",
                ));
            }
        }
        if name != "recaptcha-enterprise" {
            keys.extend(ENTERPRISE_ONLY.map(|key| (key, "")));
        }
        if !matches!(name, "cap" | "mcaptcha") {
            keys.push(("instance", ""));
        }
        if name != "siteverify" {
            keys.push(("dialect", ""));
        }
        if self != Self::Registered {
            keys.push(("settings", ""));
        }
        let why = match name {
            "mcaptcha" => ", whose widget has no such option",
            "registered" => ", whose widget the adapter makes",
            _ => "",
        };
        if !why.is_empty() {
            keys.extend(["language", "script_url", "size", "theme"].map(|key| (key, why)));
        }
        if self.is_siteverify() && name != "captchafox" {
            keys.push(("allow_test_keys", ", which has no test keys"));
        }
        if name != "captchala" {
            keys.push(("accept_offline_tokens", ""));
        }
        keys
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProviderKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error does not repeat the text, which may be a secret in the wrong place.
        let name = String::deserialize(deserializer)?;
        if name == REGISTERED_KIND {
            return Ok(Self::Registered);
        }
        Self::from_name(&name).ok_or_else(|| {
            D::Error::custom(format!(
                "is not a kind of provider; {}",
                Self::remedy(&name)
            ))
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ProviderKind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProviderKind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
        schemars::json_schema!({
            "description": "A kind of provider.",
            "type": "string",
            "enum": names,
        })
    }
}

/// The kind of a reCAPTCHA Enterprise key, which says how its tokens are judged.
///
/// ```
/// use human_check_config::EnterpriseKeyKind;
///
/// assert_eq!(EnterpriseKeyKind::from_name("checkbox"), Some(EnterpriseKeyKind::Checkbox));
/// ```
///
/// See docs/providers/recaptcha.md#enterprise.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EnterpriseKeyKind {
    /// A policy-based challenge key, without a checkbox. A token passes if its visitor solved a
    /// challenge, or was shown none and has a score of at least `min_score`.
    #[serde(alias = "enterprise_challenge")]
    Challenge,
    /// A checkbox key. A valid token passes.
    #[serde(alias = "enterprise_checkbox")]
    Checkbox,
    /// A score key. A valid token passes if its score is at least `min_score`.
    #[serde(alias = "enterprise_score")]
    Score,
}

impl EnterpriseKeyKind {
    /// Returns the kind with this name, which is `challenge`, `checkbox` or `score`. `None` for any
    /// other name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "challenge" => Some(Self::Challenge),
            "checkbox" => Some(Self::Checkbox),
            "score" => Some(Self::Score),
            _ => None,
        }
    }
}

#[cfg(all(test, feature = "turnstile"))]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_its_provider_have_one_name() {
        for kind in ProviderKind::ALL {
            assert!(
                NAMES.iter().any(|(name, _)| *name == kind.as_str()),
                "{kind}"
            );
            assert_eq!(
                ProviderKind::from_name(&kind.as_str().to_uppercase()),
                Some(*kind)
            );
        }
        assert_eq!(ProviderKind::from_name("turnstyle"), None);
    }
}
