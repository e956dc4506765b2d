//! reCAPTCHA Enterprise over the emulator: access tokens, assessments and annotations.

use std::time::Duration;

use human_check_config::ProviderKind;
use human_check_core::{ErrorKind, HumanCheck, Reason, Score, Secret};
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use human_check_emulator::{PROJECT, service_account_file};
use human_check_http::ProviderClient;
use human_check_recaptcha::{
    Annotation, AnnotationReason, Credential, KeyKind, MetadataServer, RECAPTCHA_ENTERPRISE,
    RecaptchaEnterprise, ServiceAccount,
};
use human_check_testkit::ManualClock;

use crate::support::{base, client, minted, submission};

fn api_key() -> Credential {
    Credential::api_key(
        Secret::new(EmulatedAccount::for_provider("recaptcha-enterprise").secret).unwrap(),
    )
    .unwrap()
}

fn enterprise(
    emulator: &Emulator,
    client: &ProviderClient,
    credential: Credential,
    kind: KeyKind,
) -> RecaptchaEnterprise {
    let account = EmulatedAccount::for_provider("recaptcha-enterprise");
    let client = &client
        .clone()
        .with_base_url(&RECAPTCHA_ENTERPRISE, base(emulator));
    RecaptchaEnterprise::new(client, PROJECT, account.site_key, credential, kind).unwrap()
}

fn service_account(emulator: &Emulator, clock: &ManualClock) -> Credential {
    let file = Secret::multiline(service_account_file(&emulator.base_url())).unwrap();
    Credential::bearer(
        ServiceAccount::from_json(&file)
            .unwrap()
            .with_clock(clock.clone()),
    )
}

/// Returns the number of requests whose path contains `path`.
fn calls(emulator: &Emulator, path: &str) -> usize {
    emulator
        .requests()
        .iter()
        .filter(|request| request.path.contains(path))
        .count()
}

#[tokio::test]
async fn a_service_account_signs_in_once_for_many_checks() {
    let clock = ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    let check = enterprise(
        &emulator,
        &client(),
        service_account(&emulator, &clock),
        KeyKind::Checkbox,
    );
    let checks = (0..8).map(|_| {
        let (check, submission) = (
            check.clone(),
            minted(ProviderKind::RecaptchaEnterprise, &emulator),
        );
        tokio::spawn(async move { check.check(&submission).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap().unwrap().is_human());
    }
    assert_eq!(
        (calls(&emulator, "/token"), calls(&emulator, "/assessments")),
        (1, 8)
    );
}

#[tokio::test]
async fn an_access_token_that_ended_is_renewed_and_the_check_repeated_once() {
    let clock = ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    let check = enterprise(
        &emulator,
        &client(),
        service_account(&emulator, &clock),
        KeyKind::Checkbox,
    );
    assert!(
        check
            .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
            .await
            .unwrap()
            .is_human()
    );
    // By the provider's clock the access token has expired; the client still considers it valid.
    clock.advance(Duration::from_secs(4_000));
    assert!(
        check
            .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!(
        (calls(&emulator, "/token"), calls(&emulator, "/assessments")),
        (2, 3)
    );
}

#[tokio::test]
async fn many_checks_with_one_stale_token_are_all_repeated_with_one_new_one() {
    let clock = ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    let check = enterprise(
        &emulator,
        &client(),
        service_account(&emulator, &clock),
        KeyKind::Checkbox,
    );
    assert!(
        check
            .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
            .await
            .unwrap()
            .is_human()
    );
    clock.advance(Duration::from_secs(4_000));
    let checks = (0..20).map(|_| {
        let (check, submission) = (
            check.clone(),
            minted(ProviderKind::RecaptchaEnterprise, &emulator),
        );
        tokio::spawn(async move { check.check(&submission).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap().unwrap().is_human());
    }
    assert_eq!(calls(&emulator, "/token"), 2);
}

#[tokio::test]
async fn an_access_token_that_is_never_taken_does_not_double_the_calls() {
    #[derive(Debug)]
    struct Wrong;

    #[async_trait::async_trait]
    impl human_check_recaptcha::TokenSource for Wrong {
        async fn access_token(
            &self,
            _: &ProviderClient,
        ) -> Result<human_check_recaptcha::AccessToken, human_check_core::CheckError> {
            let token = Secret::new("ya29.never-issued").unwrap();
            // The largest ttl must not overflow.
            let expires_in = Duration::MAX;
            Ok(human_check_recaptcha::AccessToken { token, expires_in })
        }
    }

    let emulator = Emulator::start().await.unwrap();
    let check = enterprise(
        &emulator,
        &client(),
        Credential::bearer(Wrong),
        KeyKind::Checkbox,
    );
    for _ in 0..20 {
        let error = check
            .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Misconfigured, "credentials")
        );
    }
    assert_eq!(calls(&emulator, "/assessments"), 21);
}

#[tokio::test]
async fn a_machine_on_google_cloud_signs_in_by_its_metadata_server() {
    let emulator = Emulator::start().await.unwrap();
    let credential = Credential::bearer(MetadataServer::new().unwrap());
    let check = enterprise(&emulator, &client(), credential, KeyKind::Checkbox);
    check.prewarm().await.unwrap();
    assert!(
        check
            .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!(calls(&emulator, "/computeMetadata"), 1);
}

#[tokio::test]
async fn a_failed_sign_in_has_the_kind_of_its_cause() {
    let clock = ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    // A clock that is one day late signs an expired assertion.
    let stale =
        ManualClock::starting_at(std::time::SystemTime::now() - Duration::from_secs(86_400));
    let check = enterprise(
        &emulator,
        &client(),
        service_account(&emulator, &stale),
        KeyKind::Checkbox,
    );
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "sign-in")
    );
    emulator.fail(Fault::Html { status: 503 }, None);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.token_may_be_used());
    assert_eq!(
        calls(&emulator, "/assessments"),
        0,
        "no token was sent to Google"
    );
}

#[tokio::test]
async fn signing_in_and_assessing_share_one_timeout() {
    let emulator = Emulator::start().await.unwrap();
    let credential = Credential::bearer(MetadataServer::new().unwrap());
    let mut limits = human_check_http::Limits::default();
    limits.attempt_timeout = Duration::from_millis(200);
    limits.total_timeout = Duration::from_millis(250);
    let client = client().with_limits(limits);
    let check = enterprise(&emulator, &client, credential, KeyKind::Checkbox);
    // Each of the two calls takes less than the total timeout.
    emulator.fail(Fault::delay(Duration::from_millis(150)), None);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Unavailable, "timeout")
    );
}

#[tokio::test]
async fn a_wrong_key_and_a_disabled_api_are_misconfigured() {
    let emulator = Emulator::start().await.unwrap();
    let wrong = Credential::api_key(Secret::new("wrong").unwrap()).unwrap();
    let check = enterprise(&emulator, &client(), wrong, KeyKind::Checkbox);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "api-key")
    );
    assert!(error.is_alert());
    emulator.configure(|knobs| knobs.service_disabled = true);
    let check = enterprise(&emulator, &client(), api_key(), KeyKind::Checkbox);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "api-disabled")
    );
}

#[tokio::test]
async fn quota_and_rate_are_told_apart() {
    let emulator = Emulator::start().await.unwrap();
    let check = enterprise(&emulator, &client(), api_key(), KeyKind::Checkbox);
    emulator.configure(|knobs| knobs.quota_used_up = true);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Declined);
    emulator.configure(|knobs| knobs.rate_limited = true);
    let error = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::RateLimited, "rate-limited")
    );
}

#[tokio::test]
async fn the_kind_of_key_decides_what_passes() {
    let emulator = Emulator::start().await.unwrap();
    let mint = |score: f64| {
        emulator
            .mint(&Mint::for_provider("recaptcha-enterprise").with_score(score))
            .unwrap()
    };
    let floor = Score::humanity(0.5).unwrap();
    let half = KeyKind::Score(floor);
    for (kind, score, expected) in [
        (half, 0.9, None),
        (half, 0.1, Some(Reason::ScoreTooLow)),
        (KeyKind::Checkbox, 0.1, None),
        // The emulator reports no challenge, and a key of this kind requires one.
        (KeyKind::Challenge(floor), 0.9, Some(Reason::Invalid)),
    ] {
        let check = enterprise(&emulator, &client(), api_key(), kind);
        let verdict = check
            .check(&submission(ProviderKind::RecaptchaEnterprise, mint(score)))
            .await
            .unwrap();
        assert_eq!(
            verdict.refusal().map(human_check_core::Refusal::reason),
            expected,
            "{kind:?} {score}"
        );
    }
    for (challenge, score, expected) in [
        ("PASSED", 0.9, None),
        ("PASSED", 0.1, None),
        ("NOCAPTCHA", 0.9, None),
        // No challenge was shown, so nothing was passed.
        ("NOCAPTCHA", 0.1, Some(Reason::ScoreTooLow)),
        ("FAILED", 0.9, Some(Reason::Invalid)),
        ("CHALLENGE_UNSPECIFIED", 0.9, Some(Reason::Invalid)),
        // What Google does not document is not taken for a pass.
        ("NOT_PASSED", 0.9, Some(Reason::Invalid)),
    ] {
        emulator.configure(|knobs| knobs.challenge = Some(challenge.to_owned()));
        let check = enterprise(&emulator, &client(), api_key(), KeyKind::Challenge(floor));
        let verdict = check
            .check(&submission(ProviderKind::RecaptchaEnterprise, mint(score)))
            .await
            .unwrap();
        assert_eq!(
            verdict.refusal().map(human_check_core::Refusal::reason),
            expected,
            "{challenge} {score}"
        );
        let facts = verdict
            .facts()
            .or(verdict.refusal().and_then(|r| r.facts()));
        let interactive = facts.unwrap().evidence == human_check_core::EvidenceKind::Interactive;
        assert_eq!(interactive, challenge == "PASSED", "{challenge}");
    }
    // Google may omit members with their default, also a score of 0.
    emulator.configure(|knobs| {
        knobs.challenge = None;
        knobs.omit_defaults = true;
    });
    let check = enterprise(&emulator, &client(), api_key(), half);
    assert!(
        check
            .check(&submission(ProviderKind::RecaptchaEnterprise, mint(0.9)))
            .await
            .unwrap()
            .is_human()
    );
    assert!(
        !check
            .check(&submission(ProviderKind::RecaptchaEnterprise, mint(0.0)))
            .await
            .unwrap()
            .is_human()
    );
}

#[tokio::test]
async fn an_assessment_can_be_annotated() {
    let emulator = Emulator::start().await.unwrap();
    let check = enterprise(&emulator, &client(), api_key(), KeyKind::Checkbox);
    let verdict = check
        .check(&minted(ProviderKind::RecaptchaEnterprise, &emulator))
        .await
        .unwrap();
    let facts = verdict.facts().unwrap();
    check
        .annotate(
            facts,
            Some(Annotation::Legitimate),
            &[AnnotationReason::CorrectPassword],
        )
        .await
        .unwrap();
    let mut without_name = facts.clone();
    without_name.details.clear();
    let error = check
        .annotate(&without_name, Some(Annotation::Fraudulent), &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}
