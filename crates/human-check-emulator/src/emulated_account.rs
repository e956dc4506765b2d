//! The keys the emulator starts with.

use serde::{Deserialize, Serialize};

/// The Google Cloud project of the emulated reCAPTCHA Enterprise, and its number.
pub const PROJECT: &str = "demo-project";
pub(crate) const PROJECT_NUMBER: &str = "850000000068";

/// Who the emulated token endpoint knows.
pub const SERVICE_ACCOUNT_EMAIL: &str = "demo@demo-project.iam.gserviceaccount.example";

/// A private key made for this emulator. It opens nothing else.
pub(crate) const SERVICE_ACCOUNT_KEY: &str = include_str!("service-account.pem");

/// A service account's key file whose assertions the emulator's `/token` takes.
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

/// A pair of keys at a provider. All of the emulator's are made up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EmulatedAccount {
    /// The provider, by the name of its adapter's provider.
    pub provider: String,
    /// The public key.
    pub site_key: String,
    /// The secret, or for reCAPTCHA Enterprise the API key.
    pub secret: String,
    /// Hosts the provider lets show the widget; all when empty.
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

    /// Whether the provider lets the widget be shown on this host.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let within = |domain: &String| {
            let rest = host.strip_suffix(domain.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.domains.is_empty() || self.domains.iter().any(within)
    }

    /// Our own site at a provider.
    ///
    /// # Panics
    ///
    /// When the emulator knows no such provider.
    pub fn for_provider(provider: &str) -> Self {
        Self::built_in()
            .into_iter()
            .find(|site| site.provider == provider)
            .unwrap_or_else(|| panic!("the emulator knows no provider {provider:?}"))
    }

    /// Two sites of every provider: ours, and somebody else's.
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
