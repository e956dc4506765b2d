//! Checks over an emulator, as the suites need them.

use human_check_config::{EnterpriseKey, Setup, Vendor};
use human_check_core::{HumanCheck, Secret, Submission};
use human_check_emulator::PROJECT;
use human_check_emulator::{Emulator, Mint, Site};
use human_check_http::{Endpoint, Exchange, HyperTransport, Limits};
use human_check_siteverify::{Dialect, SiteVerify};

pub(crate) const HOST: &str = "www.example.com";

pub(crate) fn exchange() -> Exchange {
    Exchange::new(HyperTransport::new().unwrap())
}

/// An exchange that gives up soon, for faults that would otherwise take seconds each.
pub(crate) fn hasty_exchange() -> Exchange {
    let mut limits = Limits::default();
    limits.attempt = std::time::Duration::from_millis(150);
    limits.total = std::time::Duration::from_millis(250);
    exchange().with_limits(limits)
}

pub(crate) fn base(emulator: &Emulator) -> Endpoint {
    Endpoint::parse(&emulator.base_url()).unwrap()
}

/// A vendor's adapter for our own site, with the thresholds that it cannot do without.
pub(crate) fn setup(vendor: Vendor) -> Setup {
    let site = Site::own(vendor.provider().name());
    let mut setup = Setup::new(vendor);
    setup.secret = Some(Secret::new(site.secret).unwrap());
    setup.site_key = Some(site.site_key);
    setup.project = Some(PROJECT.to_owned());
    match vendor {
        Vendor::RecaptchaV3 => setup.min_score = Some(0.5),
        Vendor::RecaptchaEnterprise => setup.key = Some(EnterpriseKey::Checkbox),
        _ => {}
    }
    setup
}

pub(crate) fn check(
    vendor: Vendor,
    emulator: &Emulator,
    exchange: &Exchange,
) -> Box<dyn HumanCheck> {
    let mut setup = setup(vendor);
    setup.base = Some(base(emulator));
    setup.build(exchange).unwrap()
}

pub(crate) fn submission(vendor: Vendor, token: impl Into<String>) -> Submission {
    Submission::new().with_token(vendor.provider(), token)
}

pub(crate) fn minted(vendor: Vendor, emulator: &Emulator) -> Submission {
    let mint = Mint::for_provider(vendor.provider().name()).hostname(HOST);
    submission(vendor, emulator.mint(&mint).unwrap())
}

/// The vendors behind the generic adapter.
pub(crate) const GENERIC: [&str; 4] = ["cap", "captchafox", "friendly-captcha", "mcaptcha"];

pub(crate) fn generic(name: &str, emulator: &Emulator, exchange: &Exchange) -> SiteVerify {
    let site = Site::own(name);
    let base = base(emulator);
    let dialect = match name {
        "cap" => Dialect::cap(&base.at_path("/cap"), &site.site_key).unwrap(),
        "captchafox" => Dialect::captchafox(&site.site_key)
            .unwrap()
            .at(base.at_path("/captchafox/siteverify")),
        "friendly-captcha" => Dialect::friendly_captcha(&site.site_key)
            .unwrap()
            .at(base.at_path("/api/v2/captcha/siteverify")),
        _ => Dialect::mcaptcha(&base, &site.site_key).unwrap(),
    };
    SiteVerify::new(exchange, dialect, Secret::new(site.secret).unwrap()).unwrap()
}
