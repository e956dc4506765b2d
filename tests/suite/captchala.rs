//! CaptchaLa over the emulator: prefixes of tokens, the backup service and server tokens.

use std::time::Duration;

use human_check_captchala::{CAPTCHALA, CaptchaLa, ServerTokenRequest};
use human_check_config::ProviderKind;
use human_check_core::{ChallengeIssuer, ChallengeRequest, ErrorKind, HumanCheck, Reason, Secret};
use human_check_emulator::CaptchaLaShape;
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_testkit::ManualClock;

use crate::support::{base, client, minted, submission};

fn captchala(emulator: &Emulator) -> CaptchaLa {
    let account = EmulatedAccount::for_provider("captchala");
    let client = client().with_base_url(&CAPTCHALA, base(emulator));
    CaptchaLa::new(
        &client,
        &account.site_key,
        Secret::new(account.secret).unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn only_tokens_of_the_main_service_cause_a_call() {
    let emulator = Emulator::start().await.unwrap();
    let check = captchala(&emulator);
    for token in [
        "client_x",
        "co_x",
        "sct_x",
        "offline_x",
        "x",
        "PT_x",
        "pt-x",
        "ptx",
        "_x",
        "client_pt_x",
        "0",
    ] {
        let verdict = check
            .check(&submission(ProviderKind::CaptchaLa, token))
            .await
            .unwrap();
        assert_eq!(
            verdict.refusal().unwrap().reason(),
            Reason::UnverifiableToken,
            "{token}"
        );
    }
    assert_eq!(emulator.requests().len(), 0);
}

#[tokio::test]
async fn a_typed_prefix_is_never_declined() {
    let emulator = Emulator::start().await.unwrap();
    let check = captchala(&emulator);
    for token in ["dg_x", "dg_", "dg_0123456789abcdef0123456789abcdef"] {
        let verdict = check
            .check(&submission(ProviderKind::CaptchaLa, token))
            .await
            .unwrap();
        let refusal = verdict.refusal().unwrap();
        assert_eq!(refusal.reason(), Reason::Invalid, "{token}");
        assert!(!refusal.is_alert(), "{token}");
    }
    let degraded = Mint::for_provider("captchala").with_kind("degraded");
    let token = emulator.mint(&degraded).unwrap();
    let error = check
        .check(&submission(ProviderKind::CaptchaLa, token))
        .await
        .unwrap_err();
    let seen = (error.kind(), error.reason());
    assert_eq!(seen, (ErrorKind::Declined, "quota"), "the provider says so");
}

#[tokio::test]
async fn with_a_used_up_quota_tokens_are_declined() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.quota_used_up = true);
    let error = captchala(&emulator)
        .check(&minted(ProviderKind::CaptchaLa, &emulator))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Declined);
}

#[tokio::test]
async fn offline_tokens_need_an_opt_in_and_are_marked() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.main_down = true);
    let offline = || {
        emulator
            .mint(&Mint::for_provider("captchala").with_kind("offline"))
            .unwrap()
    };
    let strict = captchala(&emulator);
    let refused = strict
        .check(&submission(ProviderKind::CaptchaLa, offline()))
        .await
        .unwrap();
    assert_eq!(
        refused.refusal().unwrap().reason(),
        Reason::UnverifiableToken
    );
    assert_eq!(emulator.requests().len(), 0);

    let open = captchala(&emulator).with_offline_tokens();
    let token = offline();
    let passed = open
        .check(&submission(ProviderKind::CaptchaLa, token.clone()))
        .await
        .unwrap();
    assert!(passed.facts().unwrap().detail("offline").is_some());
    assert_eq!(emulator.requests()[0].path, "/api/validate");
    let replayed = open
        .check(&submission(ProviderKind::CaptchaLa, token))
        .await
        .unwrap();
    assert_eq!(replayed.refusal().unwrap().reason(), Reason::Replayed);
    emulator.configure(|knobs| knobs.backup_says_ok = true);
    let ok = open
        .check(&submission(ProviderKind::CaptchaLa, offline()))
        .await
        .unwrap();
    assert!(
        ok.is_human(),
        "the backup service's reply has the member `ok`"
    );
    // The backup service does not report an action, so an expected action is not satisfied.
    let expecting = submission(ProviderKind::CaptchaLa, offline()).with_expected_action("login");
    assert!(!open.check(&expecting).await.unwrap().is_human());
    // The backup service verifies no token while the main service is available.
    emulator.configure(|knobs| knobs.main_down = false);
    let online = open
        .check(&submission(ProviderKind::CaptchaLa, offline()))
        .await
        .unwrap();
    assert_eq!(
        online.refusal().unwrap().reason(),
        Reason::UnverifiableToken
    );
}

#[tokio::test]
async fn every_published_shape_is_read() {
    for (shape, risk, host) in [
        (CaptchaLaShape::Current, Some(12.0), true),
        (CaptchaLaShape::Flat, Some(12.0), false),
        (CaptchaLaShape::Minimal, None, false),
    ] {
        let emulator = Emulator::start().await.unwrap();
        emulator.configure(|knobs| knobs.captchala_shape = shape);
        let verdict = captchala(&emulator)
            .check(&minted(ProviderKind::CaptchaLa, &emulator))
            .await
            .unwrap();
        let facts = verdict.facts().unwrap();
        assert_eq!(
            facts.score.map(human_check_core::Score::raw),
            risk,
            "{shape:?}"
        );
        assert_eq!(facts.hostname.is_some(), host, "{shape:?}");
    }
}

#[tokio::test]
async fn a_server_token_binds_what_is_solved_with_it() {
    let clock = ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    emulator.configure(|knobs| knobs.server_token_required = true);
    let check = captchala(&emulator);
    let missing = emulator.mint(&Mint::for_provider("captchala")).unwrap_err();
    assert_eq!(missing.to_string(), "server_token_required");
    let request = ServerTokenRequest::new("signup")
        .unwrap()
        .with_uid("user_42")
        .with_max_uses(2);
    let issued = check.issue_server_token(&request).await.unwrap();
    assert_eq!(issued.expires_in, Some(Duration::from_secs(300)));
    assert!(!format!("{issued:?}").contains(&issued.token));
    let mint = Mint::for_provider("captchala").with_server_token(&issued.token);
    let good = submission(ProviderKind::CaptchaLa, emulator.mint(&mint).unwrap())
        .with_expected_action("signup")
        .with_expected_binding("user_42");
    assert!(check.check(&good).await.unwrap().is_human());
    let other_user = submission(ProviderKind::CaptchaLa, emulator.mint(&mint).unwrap())
        .with_expected_binding("user_7");
    assert_eq!(
        check
            .check(&other_user)
            .await
            .unwrap()
            .refusal()
            .unwrap()
            .reason(),
        Reason::WrongBinding
    );
    assert_eq!(
        emulator.mint(&mint).unwrap_err().to_string(),
        "server_token_exhausted"
    );
    clock.advance(Duration::from_secs(301));
    assert_eq!(
        emulator.mint(&mint).unwrap_err().to_string(),
        "server_token_expired"
    );
}

#[tokio::test]
async fn a_page_s_challenge_is_a_server_token_for_its_action_and_user() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.server_token_required = true);
    let check = captchala(&emulator);
    let request = ChallengeRequest::new()
        .with_action("signup")
        .with_binding("user_42");
    let challenge = check.issue(&request).await.unwrap();
    assert_eq!(challenge.ttl(), Some(Duration::from_secs(300)));
    let page: serde_json::Value = serde_json::from_str(challenge.json()).unwrap();
    let mint =
        Mint::for_provider("captchala").with_server_token(page["server_token"].as_str().unwrap());
    for _ in 0..3 {
        let good = submission(ProviderKind::CaptchaLa, emulator.mint(&mint).unwrap())
            .with_expected_action("signup")
            .with_expected_binding("user_42");
        assert!(check.check(&good).await.unwrap().is_human());
    }
    let error = check.issue(&ChallengeRequest::new()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "action-missing")
    );
}

#[tokio::test]
async fn wrong_credentials_and_a_disabled_app_are_misconfigured() {
    let emulator = Emulator::start().await.unwrap();
    let account = EmulatedAccount::for_provider("captchala");
    let client = client().with_base_url(&CAPTCHALA, base(&emulator));
    let wrong = CaptchaLa::new(&client, &account.site_key, Secret::new("wrong").unwrap()).unwrap();
    let error = wrong
        .check(&minted(ProviderKind::CaptchaLa, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "credentials")
    );
    let request = ServerTokenRequest::new("signup").unwrap();
    assert_eq!(
        wrong.issue_server_token(&request).await.unwrap_err().kind(),
        ErrorKind::Misconfigured
    );
    emulator.configure(|knobs| knobs.app_disabled = true);
    let error = captchala(&emulator)
        .check(&minted(ProviderKind::CaptchaLa, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::Misconfigured, "app-disabled")
    );
    emulator.configure(|knobs| *knobs = Default::default());
    emulator.configure(|knobs| knobs.rate_limited = true);
    let error = captchala(&emulator)
        .check(&minted(ProviderKind::CaptchaLa, &emulator))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::RateLimited, "rate-limited")
    );
}
