//! The accounts that the emulator starts with.

use serde::{Deserialize, Serialize};

/// The id of the Google Cloud project that the emulated reCAPTCHA Enterprise belongs to.
///
/// Set it as the project of a check. See docs/providers/recaptcha.md#enterprise.
pub const PROJECT: &str = "demo-project";

/// The number of [`PROJECT`], which the names of assessments contain.
pub(crate) const PROJECT_NUMBER: &str = "850000000068";

/// The e-mail address of the only service account that the emulated token endpoint accepts.
pub const SERVICE_ACCOUNT_EMAIL: &str = "demo@demo-project.iam.gserviceaccount.example";

/// A private key that was made for this emulator. No other service accepts it.
pub(crate) const SERVICE_ACCOUNT_KEY: &str = include_str!("service-account.pem");

/// Returns the JSON text of a Google service account file that the emulator accepts.
///
/// `base_url` is [`Emulator::base_url`](crate::Emulator::base_url). The file makes a client request
/// its access tokens from the emulator. See docs/providers/recaptcha.md#enterprise-sign-in.
///
/// ```
/// let file = human_check_emulator::service_account_file("http://127.0.0.1:8765");
/// assert!(file.contains("http://127.0.0.1:8765/token"));
/// ```
pub fn service_account_file(base_url: &str) -> String {
    serde_json::json!({
        "type": "service_account",
        "client_email": SERVICE_ACCOUNT_EMAIL,
        "private_key": SERVICE_ACCOUNT_KEY,
        "private_key_id": "demo-key",
        "token_uri": format!("{base_url}/token"),
    })
    .to_string()
}

/// A site key and its secret with one provider.
///
/// The built-in accounts are made up. No real provider accepts their keys.
///
/// ```
/// use human_check_emulator::EmulatedAccount;
///
/// let account = EmulatedAccount::for_provider("turnstile");
/// assert_eq!(account.site_key, "0x4AAAAAAADemoSiteKey-01");
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EmulatedAccount {
    /// The name of the provider, such as `turnstile` or `recaptcha-v3`.
    pub provider: String,
    /// The public site key.
    pub site_key: String,
    /// The secret; for reCAPTCHA Enterprise, the API key.
    pub secret: String,
    /// The hosts on which the provider shows the widget, subdomains included. Default: empty,
    /// which allows all hosts.
    #[serde(default)]
    pub domains: Vec<String>,
}

impl EmulatedAccount {
    fn new(provider: &str, site_key: &str, secret: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            site_key: site_key.to_owned(),
            secret: secret.to_owned(),
            domains: Vec::new(),
        }
    }

    /// Returns whether the provider shows the widget on this host.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let within = |domain: &String| {
            let rest = host.strip_suffix(domain.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.domains.is_empty() || self.domains.iter().any(within)
    }

    /// Returns the first built-in account of a provider. [`Mint`](crate::Mint) uses it by default.
    ///
    /// # Panics
    ///
    /// When the emulator does not emulate a provider of this name.
    pub fn for_provider(provider: &str) -> Self {
        Self::built_in()
            .into_iter()
            .find(|account| account.provider == provider)
            .unwrap_or_else(|| panic!("the emulator does not emulate the provider {provider:?}"))
    }

    /// Returns the built-in accounts, two for each provider.
    ///
    /// Site key and secret of the first account end in `1`, those of the second in `2`. The second
    /// account serves tests with the token of a foreign site.
    pub fn built_in() -> Vec<Self> {
        [
            (
                "turnstile",
                "0x4AAAAAAADemoSiteKey-0",
                "0x4AAAAAAADemoSecret00000000000000",
            ),
            (
                "hcaptcha",
                "a0000000-0000-4000-8000-00000000000",
                "ES_0000000000000000000000000000000",
            ),
            (
                "recaptcha-v2",
                "6LdemoV2SiteKey000000000000000000000000",
                "6LdemoV2Secret0000000000000000000000000",
            ),
            (
                "recaptcha-v3",
                "6LdemoV3SiteKey000000000000000000000000",
                "6LdemoV3Secret0000000000000000000000000",
            ),
            (
                "recaptcha-enterprise",
                "6LdemoEnterpriseSiteKey0000000000000000",
                "AIzaDemoApiKey000000000000000000000000",
            ),
            (
                "captchala",
                "app_demo_",
                "sec_demo_0000000000000000000000000000000",
            ),
            (
                "cap",
                "demo-cap-",
                "cap-secret-00000000000000000000000000000",
            ),
            (
                "captchafox",
                "sk_demo_fox_",
                "ok_demo_fox_0000000000000000000000000000",
            ),
            (
                "friendly-captcha",
                "FCMDEMO",
                "A1DEMOFRIENDLY000000000000000000000000",
            ),
            (
                "mcaptcha",
                "mcaptcha-demo-",
                "mcaptcha-secret-000000000000000000000000",
            ),
        ]
        .into_iter()
        .flat_map(|(provider, site_key, secret)| {
            ["1", "2"]
                .map(|n| Self::new(provider, &format!("{site_key}{n}"), &format!("{secret}{n}")))
        })
        .collect()
    }
}
