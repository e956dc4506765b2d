//! The published suite over every adapter, through every wrapper.

use std::sync::Arc;

use human_check_captchala::CAPTCHALA;
use human_check_config::Vendor;
use human_check_core::{Enforce, HumanCheck, HumanCheckExt, Policy, Submission};
use human_check_emulator::{Emulator, Fault, Mint, Site};
use human_check_http::{Exchange, ReqwestTransport};
use human_check_testkit::conformance;
use human_check_testkit::conformance::{Fixture, Wanted};

use crate::support::{GENERIC, HOST, base, check, exchange, generic, setup};

fn wanted(mint: Mint, wanted: &Wanted) -> Mint {
    let mint = match &wanted.action {
        Some(action) => mint.action(action),
        None => mint,
    };
    match &wanted.binding {
        Some(binding) => mint.binding(binding),
        None => mint,
    }
}

pub(crate) fn fixture(
    emulator: Emulator,
    check: impl HumanCheck,
    provider: &'static str,
) -> Fixture {
    let emulator = Arc::new(emulator);
    let accepted = check.accepts()[0].clone();
    let fixture = Fixture::new(check, {
        let (emulator, accepted) = (Arc::clone(&emulator), accepted.clone());
        move |what| {
            let mint = wanted(Mint::for_provider(provider).hostname(HOST), what);
            Submission::new().with_token(&accepted, emulator.mint(&mint).unwrap())
        }
    });
    fixture
        .with_bad(move || {
            let forged = if accepted == CAPTCHALA {
                "pt_forged"
            } else {
                "forged:0000:0000"
            };
            Submission::new().with_token(&accepted, forged)
        })
        .with_calls({
            let emulator = Arc::clone(&emulator);
            move || emulator.requests().len()
        })
        .with_outage({
            let emulator = Arc::clone(&emulator);
            move |down| {
                emulator.heal();
                if down {
                    emulator.fail(Fault::Html { status: 503 }, None);
                }
            }
        })
        .with_status({
            let emulator = Arc::clone(&emulator);
            move |code| {
                emulator.heal();
                emulator.fail(Fault::Restatus { code }, None);
            }
        })
        .with_secret(Site::own(provider).secret)
        .keeping(emulator)
}

async fn vendor(vendor: Vendor) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check = check(vendor, &emulator, &exchange());
    fixture(emulator, check, vendor.provider().name())
}

async fn siteverify(index: usize) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check = generic(GENERIC[index], &emulator, &exchange());
    fixture(emulator, check, GENERIC[index])
}

conformance!(turnstile, super::vendor(super::Vendor::Turnstile));
conformance!(hcaptcha, super::vendor(super::Vendor::Hcaptcha));
conformance!(recaptcha_v2, super::vendor(super::Vendor::RecaptchaV2));
conformance!(recaptcha_v3, super::vendor(super::Vendor::RecaptchaV3));
conformance!(
    recaptcha_enterprise,
    super::vendor(super::Vendor::RecaptchaEnterprise)
);
conformance!(captchala, super::vendor(super::Vendor::CaptchaLa));
conformance!(cap, super::siteverify(0));
conformance!(captchafox, super::siteverify(1));
conformance!(friendly_captcha, super::siteverify(2));
conformance!(mcaptcha, super::siteverify(3));

async fn hcaptcha_enterprise_fixture() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
    let mut setup = setup(Vendor::Hcaptcha);
    setup.base = Some(base(&emulator));
    setup.max_risk = Some(0.5);
    let check = setup.build(&exchange()).unwrap();
    fixture(emulator, check, "hcaptcha")
}

conformance!(hcaptcha_enterprise, super::hcaptcha_enterprise_fixture());

async fn boxed() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check: Box<dyn HumanCheck> = Box::new(check(Vendor::Turnstile, &emulator, &exchange()));
    fixture(emulator, check, "turnstile")
}

async fn shared() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check: Arc<dyn HumanCheck> = Arc::new(check(Vendor::Hcaptcha, &emulator, &exchange()));
    fixture(emulator, check, "hcaptcha")
}

async fn enforced() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let policy = Policy::new().with_hostnames([HOST]).unwrap();
    let check: Enforce<_> = check(Vendor::Turnstile, &emulator, &exchange())
        .enforce(policy)
        .unwrap();
    fixture(emulator, check, "turnstile")
}

conformance!(through_a_box, super::boxed());
conformance!(through_an_arc, super::shared());
conformance!(through_enforce, super::enforced());

async fn over_reqwest() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let exchange = Exchange::new(ReqwestTransport::new().unwrap());
    let check = check(Vendor::Turnstile, &emulator, &exchange);
    fixture(emulator, check, "turnstile")
}

conformance!(over_reqwest_instead_of_hyper, super::over_reqwest());
