//! Every fault of the emulator with every provider: the outcome, the duration and the number of
//! calls.

use std::time::{Duration, Instant};

use human_check_config::ProviderKind;
use human_check_core::{CheckError, ErrorKind, HumanCheck, Verdict};
use human_check_emulator::{Emulator, Fault};
use human_check_http::ProviderClient;

use crate::support::{check, client, impatient_client, minted, remote};

fn kind(outcome: &Result<Verdict, CheckError>) -> Option<ErrorKind> {
    outcome.as_ref().err().map(CheckError::kind)
}

/// Returns each fault, its outcome, and whether the provider verified the token before the fault.
fn matrix() -> Vec<(Fault, Option<ErrorKind>, bool)> {
    use ErrorKind::{Misconfigured, Protocol, Unavailable};
    vec![
        (Fault::delay(Duration::from_millis(1)), None, true),
        (
            Fault::delay(Duration::from_secs(30)),
            Some(Unavailable),
            true,
        ),
        (Fault::Stall, Some(Unavailable), false),
        (Fault::StallBody, Some(Unavailable), true),
        (Fault::Trickle { millis: 20 }, Some(Unavailable), true),
        (Fault::ResetBefore, Some(Unavailable), false),
        (Fault::ResetAfter, Some(Unavailable), true),
        (Fault::Truncated, Some(Unavailable), true),
        (Fault::WrongLength, Some(Protocol), true),
        (Fault::Oversized { bytes: 65_537 }, Some(Protocol), true),
        (Fault::Endless, Some(Protocol), true),
        (Fault::Html { status: 502 }, Some(Unavailable), false),
        (Fault::Html { status: 200 }, Some(Protocol), false),
        (Fault::Html { status: 404 }, Some(Misconfigured), false),
        (Fault::Redirect, Some(Protocol), false),
        (Fault::status(429), None, false), // differs by provider, see below
        (Fault::status(500), Some(Unavailable), false),
        (Fault::status(503), Some(Unavailable), false),
        (
            Fault::Body {
                text: String::new(),
            },
            Some(Protocol),
            true,
        ),
        (
            Fault::Body {
                text: "{\"success\":tru".to_owned(),
            },
            Some(Protocol),
            true,
        ),
        (
            Fault::Body {
                text: "{\"success\":false,\"success\":true}".to_owned(),
            },
            Some(Protocol),
            true,
        ),
    ]
}

#[tokio::test]
async fn every_fault_gives_its_outcome_within_the_timeout() {
    run_matrix(&client(), &impatient_client()).await;
}

#[tokio::test]
async fn every_fault_gives_its_outcome_over_reqwest_too() {
    let limits = *impatient_client().limits();
    let client = ProviderClient::new(human_check_http::ReqwestTransport::new().unwrap());
    let impatient = client.clone().with_limits(limits);
    run_matrix(&client, &impatient).await;
}

/// Only faults that end in a timeout are tested with the short timeouts of `impatient`, so that a
/// busy machine cannot turn another fault into a timeout.
async fn run_matrix(client: &ProviderClient, impatient: &ProviderClient) {
    for provider in remote() {
        for (fault, mut expected, verifies) in matrix() {
            let emulator = Emulator::start().await.unwrap();
            let waits = matches!(
                &fault,
                Fault::Delay { millis: 2.. }
                    | Fault::Stall
                    | Fault::StallBody
                    | Fault::Trickle { .. }
            );
            let check = check(provider, &emulator, if waits { impatient } else { client });
            let submission = minted(provider, &emulator);
            emulator.fail(fault.clone(), None);
            let start = Instant::now();
            let outcome = check.check(&submission).await;
            let took = start.elapsed();
            if fault == Fault::status(429) {
                // Status 429 of Google without a reason means that the monthly quota is used up.
                expected = Some(match provider {
                    ProviderKind::RecaptchaEnterprise => ErrorKind::Declined,
                    _ => ErrorKind::RateLimited,
                });
            }
            assert_eq!(
                kind(&outcome),
                expected,
                "{provider:?} {fault:?}: {outcome:?}"
            );
            // Far more than the 250 ms of the impatient client, because a busy machine must not
            // fail the test, and far less than a stall. Exact timeouts are tested with a paused
            // clock.
            assert!(
                took < Duration::from_secs(5),
                "{provider:?} {fault:?} took {took:?}"
            );
            let max_calls = match provider {
                ProviderKind::Turnstile => 2,
                _ => 1,
            };
            let calls = emulator.requests().len();
            assert!(
                (1..=max_calls).contains(&calls),
                "{provider:?} {fault:?}: {calls} calls"
            );
            if verifies && provider != ProviderKind::Turnstile && expected.is_some() {
                let may_be_used = outcome.unwrap_err().token_may_be_used();
                assert!(
                    may_be_used,
                    "{provider:?} {fault:?}: the provider verified the token"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    for provider in remote() {
        let emulator = Emulator::start().await.unwrap();
        let check = check(provider, &emulator, &client());
        emulator.fail(Fault::Redirect, None);
        let error = check.check(&minted(provider, &emulator)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(
            emulator
                .requests()
                .iter()
                .all(|request| !request.path.contains("elsewhere"))
        );
    }
}

#[tokio::test]
async fn turnstile_gets_a_lost_reply_again_under_the_same_key() {
    for fault in [
        Fault::ResetAfter,
        Fault::Html { status: 503 },
        Fault::Truncated,
    ] {
        let emulator = Emulator::start().await.unwrap();
        let check = check(ProviderKind::Turnstile, &emulator, &client());
        let submission = minted(ProviderKind::Turnstile, &emulator);
        emulator.fail(fault.clone(), Some(1));
        assert!(
            check.check(&submission).await.unwrap().is_human(),
            "{fault:?}"
        );
        let keys: Vec<_> = emulator
            .requests()
            .iter()
            .map(|request| {
                request
                    .form()
                    .into_iter()
                    .find(|(name, _)| name == "idempotency_key")
                    .unwrap()
                    .1
            })
            .collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], keys[1], "one key for one verification");
        // The next verification of the same token has another key, and is a replay.
        assert!(!check.check(&submission).await.unwrap().is_human());
        let last = emulator.requests().pop().unwrap();
        let key = last
            .form()
            .into_iter()
            .find(|(name, _)| name == "idempotency_key")
            .unwrap()
            .1;
        assert_ne!(key, keys[0]);
    }
}

#[tokio::test]
async fn a_token_is_sent_once_where_the_provider_accepts_it_once() {
    for provider in remote().filter(|kind| *kind != ProviderKind::Turnstile) {
        for fault in [
            Fault::ResetBefore,
            Fault::ResetAfter,
            Fault::Truncated,
            Fault::status(503),
        ] {
            let emulator = Emulator::start().await.unwrap();
            let check = check(provider, &emulator, &client());
            emulator.fail(fault, None);
            let outcome = check.check(&minted(provider, &emulator)).await;
            assert_eq!(kind(&outcome), Some(ErrorKind::Unavailable), "{provider:?}");
            assert_eq!(emulator.requests().len(), 1, "{provider:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_outage_that_uses_no_token() {
    for provider in remote() {
        let emulator = Emulator::start().await.unwrap();
        let check = check(provider, &emulator, &client());
        let submission = minted(provider, &emulator);
        drop(emulator);
        let error = check.check(&submission).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "{provider:?}: {error}"
        );
        assert!(!error.token_may_be_used(), "{provider:?}: {error:?}");
    }
}

#[tokio::test]
async fn one_connection_serves_a_thousand_checks() {
    let emulator = Emulator::start().await.unwrap();
    let check = check(ProviderKind::Turnstile, &emulator, &client());
    for _ in 0..1_000 {
        assert!(
            check
                .check(&minted(ProviderKind::Turnstile, &emulator))
                .await
                .unwrap()
                .is_human()
        );
    }
    assert_eq!(emulator.connections(), 1);
}

#[tokio::test]
async fn prewarming_opens_connections_and_uses_no_token() {
    use human_check_turnstile::{TURNSTILE, Turnstile};
    let emulator = Emulator::start().await.unwrap();
    let account = human_check_emulator::EmulatedAccount::for_provider("turnstile");
    let secret = human_check_core::Secret::new(account.secret).unwrap();
    let client = client().with_base_url(&TURNSTILE, crate::support::base(&emulator));
    let check = Turnstile::new(&client, secret).unwrap();
    check.prewarm().await.unwrap();
    let opened = emulator.connections();
    assert_eq!(opened, 8, "the emulator speaks HTTP/1.1");
    let request = &emulator.requests()[0];
    assert_eq!((request.method.as_str(), request.body.len()), ("GET", 0));
    assert!(
        check
            .check(&minted(ProviderKind::Turnstile, &emulator))
            .await
            .unwrap()
            .is_human()
    );
    assert_eq!(emulator.connections(), opened);
}

#[tokio::test]
async fn a_retry_after_is_passed_on_and_no_repeat_is_made_before_it() {
    let emulator = Emulator::start().await.unwrap();
    let check = check(ProviderKind::Turnstile, &emulator, &client());
    emulator.fail(
        Fault::Status {
            code: 503,
            retry_after: Some(7),
        },
        None,
    );
    let error = check
        .check(&minted(ProviderKind::Turnstile, &emulator))
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(emulator.requests().len(), 1);
}
