//! Checks over an emulator, as the suites need them.

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

/// An client that gives up soon, for faults that would otherwise take seconds each.
pub(crate) fn impatient_client() -> ProviderClient {
    let mut limits = Limits::default();
    limits.attempt_timeout = std::time::Duration::from_millis(150);
    limits.total_timeout = std::time::Duration::from_millis(250);
    client().with_limits(limits)
}

pub(crate) fn base(emulator: &Emulator) -> Endpoint {
    Endpoint::parse(&emulator.base_url()).unwrap()
}

/// A provider's adapter for our own site, with the thresholds that it cannot do without.
pub(crate) fn setup(provider: ProviderKind) -> ProviderConfig {
    let site = EmulatedAccount::for_provider(provider.provider().name());
    let mut setup = ProviderConfig::new(provider);
    setup.secret = Some(Secret::new(site.secret).unwrap());
    setup.site_key = Some(site.site_key);
    setup.project = Some(PROJECT.to_owned());
    match provider {
        ProviderKind::RecaptchaV3 => setup.min_score = Some(0.5),
        ProviderKind::RecaptchaEnterprise => {
            setup.enterprise_key = Some(EnterpriseKeyKind::Checkbox)
        }
        _ => {}
    }
    setup
}

pub(crate) fn check(
    provider: ProviderKind,
    emulator: &Emulator,
    client: &ProviderClient,
) -> Box<dyn HumanCheck> {
    let mut setup = setup(provider);
    setup.base_url = Some(base(emulator));
    setup.build(client).unwrap()
}

pub(crate) fn submission(provider: ProviderKind, token: impl Into<String>) -> Submission {
    Submission::new().with_token(provider.provider(), token)
}

pub(crate) fn minted(provider: ProviderKind, emulator: &Emulator) -> Submission {
    let mint = Mint::for_provider(provider.provider().name()).with_hostname(HOST);
    submission(provider, emulator.mint(&mint).unwrap())
}

/// The providers behind the generic adapter.
pub(crate) const GENERIC: [&str; 4] = ["cap", "captchafox", "friendly-captcha", "mcaptcha"];

pub(crate) fn generic(name: &str, emulator: &Emulator, client: &ProviderClient) -> SiteVerify {
    let site = EmulatedAccount::for_provider(name);
    let base = base(emulator);
    // CaptchaFox has a path that is another provider's, too.
    let base_url = match name {
        "captchafox" => base.at_path("/captchafox"),
        _ => base.at_path("/"),
    };
    let dialect = match name {
        "cap" => Dialect::cap(&base.at_path("/cap"), &site.site_key).unwrap(),
        "captchafox" => Dialect::captchafox(&site.site_key).unwrap(),
        "friendly-captcha" => Dialect::friendly_captcha(&site.site_key).unwrap(),
        _ => Dialect::mcaptcha(&base, &site.site_key).unwrap(),
    };
    let client = &client.clone().with_base_url(dialect.provider(), base_url);
    SiteVerify::new(client, dialect, Secret::new(site.secret).unwrap()).unwrap()
}

/// The kinds of provider that need a network.
pub(crate) fn remote() -> impl Iterator<Item = ProviderKind> {
    let all = ProviderKind::ALL.iter().copied();
    all.filter(|kind| !kind.is_self_hosted())
}
