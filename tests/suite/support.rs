//! Helpers that build checks whose provider is the emulator.

use human_check_config::{EnterpriseKeyKind, ProviderConfig, ProviderKind};
use human_check_core::{HumanCheck, Secret, Submission};
use human_check_emulator::PROJECT;
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_http::{Endpoint, HyperTransport, Limits, ProviderClient};
use human_check_siteverify::{Dialect, SiteVerify};

pub(crate) const HOST: &str = "www.example.com";

pub(crate) fn client() -> ProviderClient {
    ProviderClient::new(HyperTransport::new().unwrap())
}

/// A client with short timeouts, for faults that would otherwise take seconds each.
pub(crate) fn impatient_client() -> ProviderClient {
    let mut limits = Limits::default();
    limits.attempt_timeout = std::time::Duration::from_millis(150);
    limits.total_timeout = std::time::Duration::from_millis(250);
    client().with_limits(limits)
}

/// Returns the address of the emulator.
pub(crate) fn base(emulator: &Emulator) -> Endpoint {
    Endpoint::parse(&emulator.base_url()).unwrap()
}

/// Returns the configuration of a provider with the keys of its emulated account and the settings
/// that this provider requires.
pub(crate) fn provider_config(provider: ProviderKind) -> ProviderConfig {
    let account = EmulatedAccount::for_provider(provider.provider().name());
    let mut config = ProviderConfig::new(provider);
    config.secret = Some(Secret::new(account.secret).unwrap());
    config.site_key = Some(account.site_key);
    config.project = Some(PROJECT.to_owned());
    match provider {
        ProviderKind::RecaptchaV3 => config.min_score = Some(0.5),
        ProviderKind::RecaptchaEnterprise => {
            config.enterprise_key = Some(EnterpriseKeyKind::Checkbox);
        }
        _ => {}
    }
    config
}

/// Builds the check of a provider over the emulator.
pub(crate) fn check(
    provider: ProviderKind,
    emulator: &Emulator,
    client: &ProviderClient,
) -> Box<dyn HumanCheck> {
    let mut config = provider_config(provider);
    config.base_url = Some(base(emulator));
    config.build(client).unwrap()
}

pub(crate) fn submission(provider: ProviderKind, token: impl Into<String>) -> Submission {
    Submission::new().with_token(provider.provider(), token)
}

/// Returns a submission with a valid token of the emulator.
pub(crate) fn minted(provider: ProviderKind, emulator: &Emulator) -> Submission {
    let mint = Mint::for_provider(provider.provider().name()).with_hostname(HOST);
    submission(provider, emulator.mint(&mint).unwrap())
}

/// The providers that the generic adapter supports.
pub(crate) const GENERIC: [&str; 4] = ["cap", "captchafox", "friendly-captcha", "mcaptcha"];

/// Builds the generic adapter for one of these providers over the emulator.
pub(crate) fn generic(name: &str, emulator: &Emulator, client: &ProviderClient) -> SiteVerify {
    let account = EmulatedAccount::for_provider(name);
    let base = base(emulator);
    // CaptchaFox and another provider use the same path, so its path gets a prefix here.
    let base_url = match name {
        "captchafox" => base.at_path("/captchafox"),
        _ => base.at_path("/"),
    };
    let dialect = match name {
        "cap" => Dialect::cap(&base.at_path("/cap"), &account.site_key).unwrap(),
        "captchafox" => Dialect::captchafox(&account.site_key).unwrap(),
        "friendly-captcha" => Dialect::friendly_captcha(&account.site_key).unwrap(),
        _ => Dialect::mcaptcha(&base, &account.site_key).unwrap(),
    };
    let client = &client.clone().with_base_url(dialect.provider(), base_url);
    SiteVerify::new(client, dialect, Secret::new(account.secret).unwrap()).unwrap()
}

/// Returns the kinds of provider that are called over the network.
pub(crate) fn remote() -> impl Iterator<Item = ProviderKind> {
    let all = ProviderKind::ALL.iter().copied();
    all.filter(|kind| !kind.is_self_hosted() && !kind.is_siteverify())
}
