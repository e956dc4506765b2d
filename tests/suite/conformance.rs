//! Runs the conformance suite of `human-check-testkit` on every adapter, and through `Box`, `Arc`
//! and `Enforce`.

use std::sync::Arc;

use human_check_captchala::CAPTCHALA;
use human_check_config::ProviderKind;
use human_check_core::{Enforce, HumanCheck, HumanCheckExt, Policy, Submission};
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use human_check_http::{ProviderClient, ReqwestTransport};
use human_check_testkit::conformance;
use human_check_testkit::conformance::{Fixture, Wanted};

use crate::support::{GENERIC, HOST, base, check, client, generic, provider_config};

/// Adds what the suite wants the token to be bound to.
fn bound_to(mint: Mint, wanted: &Wanted) -> Mint {
    let mint = match &wanted.action {
        Some(action) => mint.with_action(action),
        None => mint,
    };
    match &wanted.binding {
        Some(binding) => mint.with_binding(binding),
        None => mint,
    }
}

pub(crate) fn fixture(
    emulator: Emulator,
    check: impl HumanCheck,
    provider: &'static str,
) -> Fixture {
    let emulator = Arc::new(emulator);
    let accepted = check.providers()[0].clone();
    let fixture = Fixture::new(check, {
        let (emulator, accepted) = (Arc::clone(&emulator), accepted.clone());
        move |wanted| {
            let mint = bound_to(Mint::for_provider(provider).with_hostname(HOST), wanted);
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
        .with_secret(EmulatedAccount::for_provider(provider).secret)
        .with_resource(emulator)
}

async fn provider(provider: ProviderKind) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check = check(provider, &emulator, &client());
    fixture(emulator, check, provider.provider().name())
}

async fn siteverify(index: usize) -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check = generic(GENERIC[index], &emulator, &client());
    fixture(emulator, check, GENERIC[index])
}

conformance!(turnstile, super::provider(super::ProviderKind::Turnstile));
conformance!(hcaptcha, super::provider(super::ProviderKind::Hcaptcha));
conformance!(
    recaptcha_v2,
    super::provider(super::ProviderKind::RecaptchaV2)
);
conformance!(
    recaptcha_v3,
    super::provider(super::ProviderKind::RecaptchaV3)
);
conformance!(
    recaptcha_enterprise,
    super::provider(super::ProviderKind::RecaptchaEnterprise)
);
conformance!(captchala, super::provider(super::ProviderKind::CaptchaLa));
conformance!(cap, super::siteverify(0));
conformance!(captchafox, super::siteverify(1));
conformance!(friendly_captcha, super::siteverify(2));
conformance!(mcaptcha, super::siteverify(3));

async fn hcaptcha_enterprise_fixture() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.hcaptcha_enterprise = true);
    let mut config = provider_config(ProviderKind::Hcaptcha);
    config.base_url = Some(base(&emulator));
    config.max_risk = Some(0.5);
    let check = config.build(&client()).unwrap();
    fixture(emulator, check, "hcaptcha")
}

conformance!(hcaptcha_enterprise, super::hcaptcha_enterprise_fixture());

async fn boxed() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check: Box<dyn HumanCheck> = Box::new(check(ProviderKind::Turnstile, &emulator, &client()));
    fixture(emulator, check, "turnstile")
}

async fn shared() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let check: Arc<dyn HumanCheck> = Arc::new(check(ProviderKind::Hcaptcha, &emulator, &client()));
    fixture(emulator, check, "hcaptcha")
}

async fn enforced() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let policy = Policy::new().with_hostnames([HOST]).unwrap();
    let check: Enforce<_> = check(ProviderKind::Turnstile, &emulator, &client())
        .enforce(policy)
        .unwrap();
    fixture(emulator, check, "turnstile")
}

conformance!(through_a_box, super::boxed());
conformance!(through_an_arc, super::shared());
conformance!(through_enforce, super::enforced());

async fn over_reqwest() -> Fixture {
    let emulator = Emulator::start().await.unwrap();
    let client = ProviderClient::new(ReqwestTransport::new().unwrap());
    let check = check(ProviderKind::Turnstile, &emulator, &client);
    fixture(emulator, check, "turnstile")
}

conformance!(over_reqwest_instead_of_hyper, super::over_reqwest());
