//! What is wrong when a check is built fails then, naming the field and the remedy.

use human_check_captchala::CaptchaLa;
use human_check_config::{ProviderConfig, ProviderKind};
use human_check_core::{ConfigError, Enforce, HumanCheckExt, Policy, Score, Secret, TestKeyPolicy};
use human_check_hcaptcha::Hcaptcha;
use human_check_http::{Endpoint, MockTransport, ProviderClient, Reply};
use human_check_recaptcha::{Credential, KeyKind, RecaptchaEnterprise, RecaptchaV2, RecaptchaV3};
use human_check_turnstile::Turnstile;

use crate::support::setup;

fn nowhere() -> ProviderClient {
    ProviderClient::new(MockTransport::always(Reply::new(
        200,
        r#"{"success":true}"#,
    )))
}

fn names<T>(built: Result<T, ConfigError>, field: &str) {
    let error = built.err().expect("it is refused");
    assert_eq!(error.field(), field, "{error}");
    assert!(
        !error.problem().is_empty() && error.remedy().len() > 10,
        "{error}"
    );
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

#[test]
fn an_empty_or_blank_secret_is_refused() {
    for text in ["", " ", "\t\n", "\u{a0}"] {
        names(Secret::new(text), "secret");
        names(Secret::multiline(text), "secret");
    }
    for text in ["two words", "line\n", "quote\u{201c}", "nul\0"] {
        names(Secret::new(text), "secret");
    }
}

#[test]
fn published_testing_secrets_need_permission() {
    for digit in ["1", "2", "3"] {
        let text = format!("{digit}x0000000000000000000000000000000AA");
        names(Turnstile::new(&nowhere(), secret(&text)), "secret");
        assert!(Turnstile::for_testing(&nowhere(), secret(&text)).is_ok());
    }
    let hcaptcha = "0x0000000000000000000000000000000000000000";
    names(
        Hcaptcha::new(&nowhere(), "site", secret(hcaptcha)),
        "secret",
    );
    assert!(Hcaptcha::for_testing(&nowhere(), "site", secret(hcaptcha)).is_ok());
    let recaptcha = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
    names(RecaptchaV2::new(&nowhere(), secret(recaptcha)), "secret");
    assert!(RecaptchaV2::for_testing(&nowhere(), secret(recaptcha)).is_ok());
    let half = Score::humanity(0.5).unwrap();
    names(
        RecaptchaV3::new(&nowhere(), secret(recaptcha), half),
        "secret",
    );
}

#[test]
fn keys_that_cannot_be_keys_are_refused() {
    names(Hcaptcha::new(&nowhere(), " ", secret("s")), "site_key");
    names(CaptchaLa::new(&nowhere(), "", secret("s")), "app_key");
    names(CaptchaLa::new(&nowhere(), "a\nb", secret("s")), "app_key");
    let key = || Credential::api_key(secret("key")).unwrap();
    for project in ["", "a/b", "../x", "a b", "a?b"] {
        let built = RecaptchaEnterprise::new(&nowhere(), project, "site", key(), KeyKind::Checkbox);
        names(built, "project");
    }
    let built = RecaptchaEnterprise::new(&nowhere(), "p", "a b", key(), KeyKind::Checkbox);
    names(built, "site_key");
}

#[test]
fn scores_say_which_way_they_count_and_stay_in_range() {
    for raw in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        names(Score::humanity(raw), "score");
        names(Score::risk(raw, 1.0), "score");
    }
    names(Score::risk(1.0, 0.0), "score");
    names(Score::risk(1.0, f64::NAN), "score");
    names(Score::risk(1.0, f64::INFINITY), "score");
    names(
        Hcaptcha::new(&nowhere(), "s", secret("s"))
            .unwrap()
            .with_max_risk(5.0),
        "score",
    );
}

#[test]
fn fields_that_are_always_sent_cannot_be_sent_twice() {
    for name in ["secret", "response", "sitekey", "remoteip"] {
        names(
            Hcaptcha::new(&nowhere(), "s", secret("s"))
                .unwrap()
                .with_field(name, "x"),
            "fields",
        );
    }
    let once = Hcaptcha::new(&nowhere(), "s", secret("s"))
        .unwrap()
        .with_field("max_age", "60")
        .unwrap();
    names(once.with_field("max_age", "90"), "fields");
}

#[test]
fn plain_http_outside_this_machine_is_refused() {
    names(
        Endpoint::parse("http://captcha.example/siteverify"),
        "endpoint",
    );
    names(Endpoint::link_local("http://10.0.0.1/"), "endpoint");
    names(
        Endpoint::link_local("http://metadata.google.internal/"),
        "endpoint",
    );
    assert!(Endpoint::link_local("http://169.254.169.254/").is_ok());
}

#[test]
fn a_policy_that_no_verdict_can_satisfy_is_refused() {
    let enforced = |provider: ProviderKind, policy: Policy| {
        setup(provider)
            .build(&nowhere())
            .unwrap()
            .enforce(policy)
            .map(|_: Enforce<_>| ())
    };
    let half = Score::humanity(0.5).unwrap();
    names(
        enforced(ProviderKind::Turnstile, Policy::new().with_min_score(half)),
        "min_score",
    );
    names(
        enforced(ProviderKind::Hcaptcha, Policy::new().with_action("login")),
        "action",
    );
    names(
        enforced(
            ProviderKind::Hcaptcha,
            Policy::new().with_binding_required(),
        ),
        "binding",
    );
    names(
        enforced(
            ProviderKind::RecaptchaV2,
            Policy::new().with_action("login"),
        ),
        "action",
    );
    for blank in ["", " "] {
        names(
            enforced(ProviderKind::Turnstile, Policy::new().with_action(blank)),
            "action",
        );
    }
    assert!(
        enforced(
            ProviderKind::RecaptchaV3,
            Policy::new().with_min_score(half)
        )
        .is_ok()
    );
    names(Policy::new().with_hostnames([] as [&str; 0]), "hostnames");
}

#[test]
fn what_a_provider_needs_and_did_not_get_is_named() {
    for (provider, field) in [
        (ProviderKind::Turnstile, "secret"),
        (ProviderKind::Hcaptcha, "site_key"),
        (ProviderKind::RecaptchaV3, "min_score"),
        (ProviderKind::RecaptchaEnterprise, "min_score"),
        (ProviderKind::CaptchaLa, "site_key"),
    ] {
        names(ProviderConfig::new(provider).build(&nowhere()), field);
    }
    let mut both = ProviderConfig::new(ProviderKind::CaptchaLa);
    (both.min_score, both.max_risk) = (Some(0.5), Some(50.0));
    names(both.policy_score(), "max_risk");
    assert!(!TestKeyPolicy::default().allowed());
}
