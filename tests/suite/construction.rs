//! Invalid settings are errors when a check is built. The error names the field and a remedy.

use human_check_captchala::CaptchaLa;
use human_check_config::{ProviderConfig, ProviderKind};
use human_check_core::{ConfigError, Enforce, HumanCheckExt, Policy, Score, Secret, TestKeyPolicy};
use human_check_hcaptcha::Hcaptcha;
use human_check_http::{Endpoint, MockTransport, ProviderClient, Reply};
use human_check_recaptcha::{Credential, KeyKind, RecaptchaEnterprise, RecaptchaV2, RecaptchaV3};
use human_check_turnstile::Turnstile;

use crate::support::provider_config;

/// A client that the checks of this module never use.
fn unused_client() -> ProviderClient {
    ProviderClient::new(MockTransport::always(Reply::new(
        200,
        r#"{"success":true}"#,
    )))
}

fn test_client() -> ProviderClient {
    unused_client().with_test_keys(TestKeyPolicy::Allowed)
}

fn assert_field<T>(built: Result<T, ConfigError>, field: &str) {
    let error = built.err().expect("a configuration error");
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
        assert_field(Secret::new(text), "secret");
        assert_field(Secret::multiline(text), "secret");
    }
    for text in ["two words", "line\n", "quote\u{201c}", "nul\0"] {
        assert_field(Secret::new(text), "secret");
    }
}

#[test]
fn published_testing_secrets_need_permission() {
    for digit in ["1", "2", "3"] {
        let text = format!("{digit}x0000000000000000000000000000000AA");
        assert_field(Turnstile::new(&unused_client(), secret(&text)), "secret");
        assert!(Turnstile::new(&test_client(), secret(&text)).is_ok());
    }
    let hcaptcha = "0x0000000000000000000000000000000000000000";
    assert_field(
        Hcaptcha::new(&unused_client(), "site", secret(hcaptcha)),
        "secret",
    );
    assert!(Hcaptcha::new(&test_client(), "site", secret(hcaptcha)).is_ok());
    let recaptcha = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
    assert_field(
        RecaptchaV2::new(&unused_client(), secret(recaptcha)),
        "secret",
    );
    assert!(RecaptchaV2::new(&test_client(), secret(recaptcha)).is_ok());
    let half = Score::humanity(0.5).unwrap();
    assert_field(
        RecaptchaV3::new(&unused_client(), secret(recaptcha), half),
        "secret",
    );
}

#[test]
fn malformed_keys_are_refused() {
    assert_field(
        Hcaptcha::new(&unused_client(), " ", secret("s")),
        "site_key",
    );
    assert_field(CaptchaLa::new(&unused_client(), "", secret("s")), "app_key");
    assert_field(
        CaptchaLa::new(&unused_client(), "a\nb", secret("s")),
        "app_key",
    );
    let key = || Credential::api_key(secret("key")).unwrap();
    for project in ["", "a/b", "../x", "a b", "a?b"] {
        let built =
            RecaptchaEnterprise::new(&unused_client(), project, "site", key(), KeyKind::Checkbox);
        assert_field(built, "project");
    }
    let built = RecaptchaEnterprise::new(&unused_client(), "p", "a b", key(), KeyKind::Checkbox);
    assert_field(built, "site_key");
}

#[test]
fn scores_say_which_way_they_count_and_stay_in_range() {
    for raw in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_field(Score::humanity(raw), "score");
        assert_field(Score::risk(raw, 1.0), "score");
    }
    assert_field(Score::risk(1.0, 0.0), "score");
    assert_field(Score::risk(1.0, f64::NAN), "score");
    assert_field(Score::risk(1.0, f64::INFINITY), "score");
    assert_field(
        Hcaptcha::new(&unused_client(), "s", secret("s"))
            .unwrap()
            .with_max_risk(5.0),
        "score",
    );
}

#[test]
fn fields_that_are_always_sent_cannot_be_sent_twice() {
    for name in ["secret", "response", "sitekey", "remoteip"] {
        assert_field(
            Hcaptcha::new(&unused_client(), "s", secret("s"))
                .unwrap()
                .with_request_field(name, "x"),
            "fields",
        );
    }
    let once = Hcaptcha::new(&unused_client(), "s", secret("s"))
        .unwrap()
        .with_request_field("max_age", "60")
        .unwrap();
    assert_field(once.with_request_field("max_age", "90"), "fields");
}

#[test]
fn plain_http_outside_this_machine_is_refused() {
    assert_field(
        Endpoint::parse("http://captcha.example/siteverify"),
        "endpoint",
    );
    assert_field(Endpoint::link_local("http://10.0.0.1/"), "endpoint");
    assert_field(
        Endpoint::link_local("http://metadata.google.internal/"),
        "endpoint",
    );
    assert!(Endpoint::link_local("http://169.254.169.254/").is_ok());
}

#[test]
fn a_policy_that_no_verdict_can_satisfy_is_refused() {
    let enforced = |provider: ProviderKind, policy: Policy| {
        provider_config(provider)
            .build(&unused_client())
            .unwrap()
            .enforce(policy)
            .map(|_: Enforce<_>| ())
    };
    let half = Score::humanity(0.5).unwrap();
    assert_field(
        enforced(ProviderKind::Turnstile, Policy::new().with_min_score(half)),
        "min_score",
    );
    assert_field(
        enforced(ProviderKind::Hcaptcha, Policy::new().with_action("login")),
        "action",
    );
    assert_field(
        enforced(
            ProviderKind::Hcaptcha,
            Policy::new().with_binding_required(),
        ),
        "binding",
    );
    assert_field(
        enforced(
            ProviderKind::RecaptchaV2,
            Policy::new().with_action("login"),
        ),
        "action",
    );
    for blank in ["", " "] {
        assert_field(
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
    assert_field(Policy::new().with_hostnames([] as [&str; 0]), "hostnames");
}

#[test]
fn a_missing_required_setting_is_named() {
    for (provider, field) in [
        (ProviderKind::Turnstile, "secret"),
        (ProviderKind::Hcaptcha, "site_key"),
        (ProviderKind::RecaptchaV3, "min_score"),
        (ProviderKind::RecaptchaEnterprise, "min_score"),
        (ProviderKind::CaptchaLa, "site_key"),
    ] {
        assert_field(ProviderConfig::new(provider).build(&unused_client()), field);
    }
    let mut both = ProviderConfig::new(ProviderKind::CaptchaLa);
    (both.min_score, both.max_risk) = (Some(0.5), Some(50.0));
    assert_field(both.policy_score(), "max_risk");
    assert!(!TestKeyPolicy::default().allowed());
}
