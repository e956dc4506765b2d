//! The proof of work: the recorded vectors, and attacks that the official crate `altcha` does not
//! prevent.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use altcha::{Payload, VerifySolutionOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_altcha::{ALTCHA, Altcha, Difficulty, Keys, inspect};
use human_check_core::{
    Challenge, ChallengeIssuer, ChallengeRequest, ClaimError, Claimed, Clock, ErrorKind,
    EvidenceKind, HumanCheck, MemoryReplayStore, Reason, ReplayProtection, ReplayStore, Secret,
    Submission, TokenId,
};
use human_check_testkit::conformance::{Fixture, Wanted};
use human_check_testkit::{ManualClock, conformance, solve};
use serde_json::{Value, json};

const SECRET: &str = "test-secret-0123456789abcdef0123";
const SITE: &str = "www.example.com";

fn keys(secret: &str) -> Keys {
    Keys::new(Secret::new(secret).unwrap()).unwrap()
}

/// A difficulty that a test solves quickly.
fn easy() -> Difficulty {
    Difficulty::sha().with_tries(50).unwrap()
}

fn altcha(clock: &ManualClock) -> Altcha<MemoryReplayStore> {
    let store = MemoryReplayStore::new(1_000).with_clock(clock.clone());
    Altcha::new(keys(SECRET), SITE, store)
        .unwrap()
        .with_difficulty(easy())
        .with_clock(clock.clone())
}

/// Issues a challenge and returns the value of the widget's field with its solution.
async fn solved(altcha: &impl ChallengeIssuer, request: &ChallengeRequest) -> String {
    solve(altcha.issue(request).await.unwrap().json()).unwrap()
}

/// Returns a submission with this value in the widget's field.
fn sent(field: impl Into<String>) -> Submission {
    Submission::new().with_token(&ALTCHA, field)
}

async fn reason(check: &impl HumanCheck, submission: &Submission) -> Option<Reason> {
    let verdict = check.check(submission).await.unwrap();
    verdict.refusal().map(human_check_core::Refusal::reason)
}

/// Returns the value of the field with a changed payload.
fn changed(field: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut payload = serde_json::from_slice(&STANDARD.decode(field).unwrap()).unwrap();
    change(&mut payload);
    STANDARD.encode(payload.to_string())
}

fn cases() -> Vec<Value> {
    let text = include_str!("../vectors/altcha.vectors.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 33);
    cases
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("{case}"))
}

fn keys_of(case: &Value) -> Keys {
    let secret = Secret::new(text(case, "secret")).unwrap();
    match case["key_secret"].as_str() {
        Some(second) => Keys::with_key_secret(secret, Secret::new(second).unwrap()),
        None => Keys::new(secret),
    }
    .unwrap()
}

#[test]
fn every_vector_is_judged_as_recorded() {
    for case in cases() {
        let name = text(&case, "name");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(case["now"].as_u64().unwrap());
        let submission = sent(text(&case, "field"));
        let refusal = match submission.token_for(&ALTCHA, human_check_core::MAX_TOKEN_BYTES) {
            Ok(field) => inspect(field, &keys_of(&case), now),
            Err(refusal) => Some(refusal),
        };
        let codes = refusal.as_ref().map_or(&[][..], |refusal| refusal.codes());
        let code = codes.first().map_or("", String::as_str);
        let judged = match refusal.as_ref().map(human_check_core::Refusal::reason) {
            None => "pass",
            Some(Reason::Expired) => "expired",
            Some(Reason::Invalid) if code == "signature" => "tampered",
            Some(Reason::Invalid) => "rejected",
            Some(Reason::Malformed) => "malformed",
            Some(Reason::Missing) => "missing",
            Some(other) => panic!("{name}: {other}"),
        };
        assert_eq!(judged, text(&case, "expected"), "{name}");
        let expected_code = match name {
            "v1_payload" => "pow-v1-payload",
            "sentinel_payload" => "sentinel-payload",
            "widget_test_mode" => "widget-test-payload",
            _ => continue,
        };
        assert_eq!(code, expected_code, "{name}");
    }
}

/// The adapter accepts only what the official crate accepts. The crate accepts one case more,
/// because it cannot use a manual clock. A case that the crate cannot parse must not pass.
#[test]
fn nothing_passes_that_the_official_crate_refuses() {
    for case in cases() {
        let name = text(&case, "name");
        let Ok(json) = STANDARD.decode(text(&case, "field")) else {
            continue;
        };
        let Ok(payload) = serde_json::from_slice::<Payload>(&json) else {
            assert_ne!(text(&case, "expected"), "pass", "{name}");
            continue;
        };
        let mut options = VerifySolutionOptions::new(
            &payload.challenge,
            &payload.solution,
            text(&case, "secret"),
        );
        options.hmac_key_signature_secret = case["key_secret"].as_str().map(str::to_owned);
        let crate_accepts = altcha::verify_solution(options).unwrap().verified;
        let adapter_accepts = text(&case, "expected") == "pass";
        let expired_by_manual_clock = name == "expired_by_injected_clock";
        assert_eq!(
            crate_accepts,
            adapter_accepts || expired_by_manual_clock,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_token_passes_once_and_the_verdict_says_what_it_proves() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let request = ChallengeRequest::new()
        .with_action("signup")
        .with_binding("sitzung-ü-7 100%");
    let submission = sent(solved(&check, &request).await)
        .with_expected_action("signup")
        .with_expected_binding("sitzung-ü-7 100%");
    let verdict = check.check(&submission).await.unwrap();
    let facts = verdict.facts().unwrap();
    assert_eq!(facts.evidence, EvidenceKind::ProofOfWork);
    assert_eq!(facts.replay_protection, ReplayProtection::Store);
    assert!(facts.hostname.is_none(), "a proof of work has no hostname");
    assert_eq!(facts.detail("site").unwrap().as_str(), Some(SITE));
    assert_eq!(reason(&check, &submission).await, Some(Reason::Replayed));
}

#[tokio::test]
async fn no_respelling_of_a_token_passes_a_second_time() {
    let clock = ManualClock::starting_now();
    type Respelling = fn(&str) -> String;
    let respellings: [(&str, Respelling); 7] = [
        ("unchanged", str::to_owned),
        ("no time", |field| {
            changed(field, |p| drop(p["solution"]["time"].take()))
        }),
        ("another time", |field| {
            changed(field, |p| p["solution"]["time"] = json!(1.5))
        }),
        ("more members", |field| {
            changed(field, |p| {
                p["x"] = json!(1);
                p["challenge"]["parameters"]["zzz"] = json!(1);
            })
        }),
        ("pretty", |field| {
            let payload: Value = serde_json::from_slice(&STANDARD.decode(field).unwrap()).unwrap();
            STANDARD.encode(format!("{payload:#}"))
        }),
        ("another counter", |field| {
            changed(field, |p| p["solution"]["counter"] = json!(0))
        }),
        ("capitals", |field| {
            changed(field, |p| {
                let key = p["solution"]["derivedKey"].as_str().unwrap();
                p["solution"]["derivedKey"] = json!(key.to_uppercase());
            })
        }),
    ];
    for (first, spell) in respellings {
        let check = altcha(&clock);
        let field = solved(&check, &ChallengeRequest::new()).await;
        assert_eq!(reason(&check, &sent(spell(&field))).await, None, "{first}");
        for (second, respell) in respellings {
            assert_eq!(
                reason(&check, &sent(respell(&field))).await,
                Some(Reason::Replayed),
                "{first}, then {second}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_serves_one_action_one_binding_and_one_site() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let request = ChallengeRequest::new()
        .with_action("comment")
        .with_binding("alice");
    let field = solved(&check, &request).await;
    let other_form = sent(field.clone()).with_expected_action("signup");
    assert_eq!(reason(&check, &other_form).await, Some(Reason::WrongAction));
    let other_session = sent(field.clone()).with_expected_binding("bob");
    assert_eq!(
        reason(&check, &other_session).await,
        Some(Reason::WrongBinding)
    );
    let elsewhere =
        Altcha::new(keys(SECRET), "blog.example.com", MemoryReplayStore::new(10)).unwrap();
    assert_eq!(
        reason(&elsewhere, &sent(field.clone())).await,
        Some(Reason::WrongSiteKey)
    );
    assert_eq!(
        reason(&check, &sent(field).with_expected_action("comment")).await,
        None,
        "the refusals did not use the token"
    );
    let unbound = solved(&check, &ChallengeRequest::new()).await;
    let wanted = sent(unbound).with_expected_action("signup");
    assert_eq!(
        reason(&check, &wanted).await.unwrap().as_str(),
        "action-absent"
    );
}

#[tokio::test]
async fn a_challenge_always_expires_by_the_servers_clock() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock).with_ttl(Duration::from_secs(60)).unwrap();
    let field = solved(&check, &ChallengeRequest::new()).await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(reason(&check, &sent(field)).await, None);
    let field = solved(&check, &ChallengeRequest::new()).await;
    clock.advance(Duration::from_secs(61));
    assert_eq!(reason(&check, &sent(field)).await, Some(Reason::Expired));
    // These challenges are valid except for their expiry, and have a valid signature.
    for expires_at in [None, Some(0)] {
        let mut parameters: altcha::ChallengeParameters = serde_json::from_value(json!({
            "algorithm": "SHA-256", "cost": 1, "keyLength": 32, "keyPrefix": "0",
            "nonce": "00".repeat(16), "salt": "11".repeat(16), "data": {"site": SITE},
        }))
        .unwrap();
        parameters.expires_at = expires_at;
        let hmac = altcha::HmacAlgorithm::Sha256;
        let endless = altcha::sign_challenge(&hmac, &mut parameters, None, SECRET, None).unwrap();
        let field = solve(&serde_json::to_string(&endless).unwrap()).unwrap();
        let verdict = check.check(&sent(field)).await.unwrap();
        let refusal = verdict.refusal().unwrap();
        assert_eq!(refusal.reason(), Reason::Invalid);
        assert_eq!(refusal.codes(), ["no-expiry"]);
    }
}

/// A store that records the ttl of each claim.
#[derive(Debug, Default)]
struct RecordingStore(std::sync::Mutex<Vec<Duration>>);

#[human_check_core::adapter::async_trait]
impl ReplayStore for RecordingStore {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn claim(&self, claim: TokenId<'_>, ttl: Duration) -> Result<Claimed, ClaimError> {
        assert_eq!(claim.provider(), &ALTCHA);
        self.0.lock().unwrap().push(ttl);
        Ok(Claimed::First)
    }
}

#[tokio::test]
async fn a_token_is_kept_for_longer_than_any_clock_lets_it_pass() {
    let clock =
        ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000));
    let store = Arc::new(RecordingStore::default());
    let check = Altcha::new(keys(SECRET), SITE, Arc::clone(&store))
        .unwrap()
        .with_difficulty(easy())
        .with_clock(clock.clone());
    let field = solved(&check, &ChallengeRequest::new()).await;
    clock.advance(Duration::from_secs(100));
    assert_eq!(reason(&check, &sent(field)).await, None);
    let ttls = store.0.lock().unwrap().clone();
    assert_eq!(ttls, [Duration::from_secs(300 - 100 + 60)]);
}

#[tokio::test]
async fn a_full_store_is_an_error_and_no_pass() {
    let clock = ManualClock::starting_now();
    let full = MemoryReplayStore::new(0).with_clock(clock.clone());
    let check = Altcha::new(keys(SECRET), SITE, full)
        .unwrap()
        .with_difficulty(easy());
    let field = solved(&check, &ChallengeRequest::new()).await;
    let error = check.check(&sent(field)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.reason()),
        (ErrorKind::StoreUnavailable, "store-full")
    );
}

#[tokio::test]
async fn a_store_with_too_short_a_ttl_or_a_weak_secret_is_refused() {
    let short = MemoryReplayStore::new(10).with_ttl(Duration::from_secs(419));
    let error = Altcha::new(keys(SECRET), SITE, short).unwrap_err();
    assert_eq!(error.field(), "challenge_ttl");
    let altcha = || Altcha::new(keys(SECRET), SITE, MemoryReplayStore::new(10)).unwrap();
    for ttl in [0, 9, 481, 86_401] {
        assert!(
            altcha().with_ttl(Duration::from_secs(ttl)).is_err(),
            "{ttl}"
        );
    }
    assert!(altcha().with_ttl(Duration::from_secs(480)).is_ok());
    for site in ["", "two words", "ü"] {
        let error = Altcha::new(keys(SECRET), site, MemoryReplayStore::new(10)).unwrap_err();
        assert_eq!(error.field(), "site");
    }
    // With an empty secret the official crate does not sign, and every client can forge challenges.
    assert!(Secret::new("").is_err());
    assert!(Keys::new(Secret::new("short").unwrap()).is_err());
}

#[tokio::test]
async fn the_previous_secret_still_verifies_and_signs_nothing() {
    let previous = "a-secret-from-last-year-0123456789";
    let clock = ManualClock::starting_now();
    let store = MemoryReplayStore::new(100);
    let with = |keys| {
        Altcha::new(keys, SITE, store.clone())
            .unwrap()
            .with_difficulty(easy())
            .with_clock(clock.clone())
    };
    let (old, new) = (
        with(keys(previous)),
        with(keys(SECRET).with_previous(keys(previous))),
    );
    let without_previous = with(keys(SECRET));
    let field = solved(&old, &ChallengeRequest::new()).await;
    assert_eq!(
        reason(&without_previous, &sent(&*field)).await,
        Some(Reason::Invalid)
    );
    assert_eq!(reason(&new, &sent(&*field)).await, None);
    assert_eq!(reason(&new, &sent(&*field)).await, Some(Reason::Replayed));
    let fresh = solved(&new, &ChallengeRequest::new()).await;
    assert_eq!(reason(&old, &sent(fresh)).await, Some(Reason::Invalid));
}

#[tokio::test]
async fn every_algorithm_is_solved_and_judged() {
    let clock = ManualClock::starting_now();
    let few = |difficulty: Difficulty| difficulty.with_tries(3).unwrap();
    for difficulty in [
        few(Difficulty::light()),
        few(Difficulty::standard()),
        few(Difficulty::sha()),
        few(Difficulty::scrypt()),
        few(Difficulty::argon2id()),
    ] {
        let check = altcha(&clock).with_difficulty(difficulty);
        let field = solved(&check, &ChallengeRequest::new()).await;
        let wrong = changed(&field, |p| {
            p["solution"]["derivedKey"] = json!("0".repeat(64));
        });
        assert_eq!(
            reason(&check, &sent(wrong)).await,
            Some(Reason::Invalid),
            "{difficulty:?}"
        );
        assert_eq!(reason(&check, &sent(&*field)).await, None, "{difficulty:?}");
        assert_eq!(reason(&check, &sent(field)).await, Some(Reason::Replayed));
    }
}

#[tokio::test]
async fn the_difficulty_depends_on_the_earlier_challenges_of_an_address() {
    let clock = ManualClock::starting_now();
    let earlier = Arc::new(AtomicUsize::new(0));
    let check = altcha(&clock).with_difficulty_for({
        let earlier = Arc::clone(&earlier);
        move |request| {
            earlier.store(request.earlier() as usize, Ordering::Relaxed);
            // Another algorithm for new addresses, so that the test can tell the difference.
            match request.earlier() {
                0..5 => Difficulty::light().with_tries(1).unwrap(),
                _ => easy(),
            }
        }
    });
    let algorithm = |challenge: &Challenge| {
        let json: Value = serde_json::from_str(challenge.json()).unwrap();
        json["parameters"]["algorithm"].as_str().unwrap().to_owned()
    };
    let first = check.issue(&ChallengeRequest::new()).await.unwrap();
    let again = ChallengeRequest::new().with_earlier(5);
    let fifth = check.issue(&again).await.unwrap();
    assert_eq!(algorithm(&first), "PBKDF2/SHA-256");
    assert_eq!(algorithm(&fifth), "SHA-256");
    assert_eq!(earlier.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn values_that_browsers_change_are_not_in_the_signed_data() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let request = ChallengeRequest::new()
        .with_action("größe 🙂\u{e9}")
        .with_binding("a%20b \u{1}\"',[{\\</script>");
    let challenge = check.issue(&request).await.unwrap();
    assert!(challenge.json().is_ascii());
    let json: Value = serde_json::from_str(challenge.json()).unwrap();
    for (name, value) in json["parameters"]["data"].as_object().unwrap() {
        assert!(value.is_string(), "{name} is {value}");
    }
    let submission = sent(solve(challenge.json()).unwrap())
        .with_expected_action("größe 🙂\u{e9}")
        .with_expected_binding("a%20b \u{1}\"',[{\\</script>");
    assert_eq!(reason(&check, &submission).await, None);
    let long = ChallengeRequest::new().with_binding("x".repeat(1_025));
    let error = check.issue(&long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}

/// None of these may cause a derivation. With this cost one derivation would take minutes, so the
/// test would not end.
#[tokio::test]
async fn a_challenge_without_a_valid_signature_is_refused_without_a_derivation() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let field = solved(&check, &ChallengeRequest::new()).await;
    let costly = |p: &mut Value| {
        p["challenge"]["parameters"]["cost"] = json!(u32::MAX);
        p["challenge"]["parameters"]
            .as_object_mut()
            .unwrap()
            .remove("keySignature");
    };
    let deep = format!(
        "{{\"challenge\":{}1{},\"solution\":{{}}}}",
        "[".repeat(2_000),
        "]".repeat(2_000)
    );
    let deep_data = changed(&field, |p| {
        costly(p);
        let nested = (0..50).fold(json!(1), |inner, _| json!([inner]));
        p["challenge"]["parameters"]["data"]["deep"] = nested;
    });
    for (what, field, expected) in [
        ("tampered", changed(&field, costly), Reason::Invalid),
        (
            "unsigned",
            changed(&field, |p| {
                costly(p);
                p["challenge"].as_object_mut().unwrap().remove("signature");
            }),
            Reason::Invalid,
        ),
        (
            "argon2id with four TiB",
            changed(&field, |p| {
                costly(p);
                p["challenge"]["parameters"]["algorithm"] = json!("ARGON2ID");
                p["challenge"]["parameters"]["memoryCost"] = json!(u32::MAX);
            }),
            Reason::Invalid,
        ),
        (
            "stuffed with members",
            changed(&field, |p| {
                let many = (0..400).map(|n| (format!("{n:x}"), json!(1)));
                p["challenge"]["parameters"]["data"] = many.collect();
            }),
            Reason::Malformed,
        ),
        (
            "stuffed with elements",
            changed(&field, |p| {
                p["challenge"]["parameters"]["data"]["x"] = json!(vec![1; 1_500]);
            }),
            Reason::Malformed,
        ),
        ("deep", STANDARD.encode(deep), Reason::Malformed),
        ("deep data", deep_data, Reason::Invalid),
        (
            "oversized",
            changed(&field, |p| p["x"] = json!("a".repeat(9_000))),
            Reason::Malformed,
        ),
        (
            "no padding",
            field.trim_end_matches('=').to_owned() + "A",
            Reason::Malformed,
        ),
        ("url alphabet", "-_-_".to_owned(), Reason::Malformed),
        ("not base64", "%%%".to_owned(), Reason::Malformed),
        ("null", STANDARD.encode("null"), Reason::Malformed),
        ("a list", STANDARD.encode("[]"), Reason::Malformed),
    ] {
        assert_eq!(reason(&check, &sent(field)).await, Some(expected), "{what}");
    }
}

/// One signed challenge must not cause derivations. A wrong solution does not use the challenge, so
/// an attacker could send it repeatedly, and other checks would time out as in an outage.
#[tokio::test]
async fn no_token_costs_a_derivation_even_with_a_challenge_of_the_right_secret() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let expires_at = clock.now() + Duration::from_secs(60);
    let expires_at = expires_at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // A challenge of other software with the same secret, too expensive to derive here.
    let mut parameters: altcha::ChallengeParameters = serde_json::from_value(json!({
        "algorithm": "PBKDF2/SHA-256", "cost": u32::MAX, "keyLength": 32, "keyPrefix": "",
        "expiresAt": expires_at.as_secs(), "nonce": "00".repeat(16), "salt": "11".repeat(16),
        "data": {"site": SITE},
    }))
    .unwrap();
    let hmac = altcha::HmacAlgorithm::Sha256;
    let challenge = altcha::sign_challenge(&hmac, &mut parameters, None, SECRET, None).unwrap();
    for counter in 0..100 {
        let solution = json!({"counter": counter, "derivedKey": "00".repeat(32)});
        let payload = json!({"challenge": challenge, "solution": solution}).to_string();
        let verdict = check.check(&sent(STANDARD.encode(payload))).await.unwrap();
        let refusal = verdict.refusal().unwrap();
        assert_eq!(refusal.reason(), Reason::Invalid);
        assert_eq!(refusal.codes(), ["unsigned-key"]);
    }
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute_and_a_larger_difference_is_a_refusal() {
    let (ahead, here) = (ManualClock::starting_now(), ManualClock::starting_now());
    let with = |clock: &ManualClock| {
        let store = MemoryReplayStore::new(10).with_clock(here.clone());
        let altcha = Altcha::new(keys(SECRET), SITE, store).unwrap();
        let altcha = altcha.with_ttl(Duration::from_secs(480)).unwrap();
        altcha.with_difficulty(easy()).with_clock(clock.clone())
    };
    let (issuer, check) = (with(&ahead), with(&here));
    ahead.advance(Duration::from_secs(59));
    let field = solved(&issuer, &ChallengeRequest::new()).await;
    assert_eq!(reason(&check, &sent(&*field)).await, None);
    assert_eq!(reason(&check, &sent(field)).await, Some(Reason::Replayed));
    ahead.advance(Duration::from_secs(10));
    let field = solved(&issuer, &ChallengeRequest::new()).await;
    let verdict = check.check(&sent(field)).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().codes(), ["outlives-store"]);
}

#[tokio::test]
async fn a_flood_of_requests_is_rejected_and_never_fails_open() {
    let clock = ManualClock::starting_now();
    let check = Arc::new(
        altcha(&clock)
            .with_difficulty(Difficulty::standard())
            .with_derivations(NonZeroUsize::MIN, 3),
    );
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let check = Arc::clone(&check);
        flood.spawn(async move { check.issue(&ChallengeRequest::new()).await });
    }
    let outcomes = flood.join_all().await;
    let issued = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    // The single thread spawned all of them before one could finish.
    assert_eq!(issued, 4);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(
            (error.kind(), error.reason()),
            (ErrorKind::Declined, "derivations-busy")
        );
        assert!(error.retry_after().is_some() && !error.token_may_be_used());
    }
    assert!(check.issue(&ChallengeRequest::new()).await.is_ok());
}

#[tokio::test]
async fn nothing_printed_holds_the_secret_or_a_token() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let challenge = check.issue(&ChallengeRequest::new()).await.unwrap();
    let field = solve(challenge.json()).unwrap();
    let submission = sent(&*field);
    let verdict = check.check(&submission).await.unwrap();
    let printed = format!(
        "{check:?} {challenge:?} {submission:?} {verdict:?} {:?}",
        keys(SECRET)
    );
    assert!(
        !printed.contains(SECRET) && !printed.contains(&field[..40]),
        "{printed}"
    );
}

/// The conformance suite requests tokens outside of async code, so challenges are issued and solved
/// on another thread.
async fn fixture() -> Fixture {
    let check = Arc::new(altcha(&ManualClock::starting_now()));
    let issuer = Arc::clone(&check);
    let good = move |wanted: &Wanted| {
        let mut request = ChallengeRequest::new();
        if let Some(action) = &wanted.action {
            request = request.with_action(action.clone());
        }
        if let Some(binding) = &wanted.binding {
            request = request.with_binding(binding);
        }
        let issuer = Arc::clone(&issuer);
        let issued = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(solved(&issuer, &request))
        });
        sent(issued.join().unwrap())
    };
    Fixture::new(check, good)
        .with_bad(|| sent(text(&cases()[0], "field")))
        .with_secret(SECRET)
}

conformance!(conforms, super::fixture());

/// A store that never replies.
#[derive(Debug)]
struct HungStore;

#[human_check_core::adapter::async_trait]
impl ReplayStore for HungStore {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_never_fails_open() {
    use human_check_core::{Timeout, TimeoutStore};

    let store = TimeoutStore::new(HungStore, Duration::from_secs(1));
    let keys = Keys::new(Secret::new("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa").unwrap()).unwrap();
    let altcha = Altcha::new(keys, "www.example.com", store).unwrap();
    let altcha = Arc::new(altcha.with_difficulty(Difficulty::sha().with_tries(9).unwrap()));
    let challenge = altcha.issue(&ChallengeRequest::new()).await.unwrap();
    let field = human_check_testkit::solve(challenge.json()).unwrap();
    let check = Timeout::new(altcha, Duration::from_secs(3));
    let outcome = check
        .check(&Submission::new().with_token(&ALTCHA, field))
        .await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::StoreUnavailable);
}

#[tokio::test]
async fn a_used_token_stays_used_when_the_clock_is_set_back() {
    let clock = ManualClock::starting_now();
    let check = altcha(&clock);
    let field = solved(&check, &ChallengeRequest::new()).await;
    assert_eq!(reason(&check, &sent(field.clone())).await, None);
    // The store has forgotten the token, and no longer needs it: its challenge has ended.
    clock.advance(Duration::from_secs(21 * 60));
    assert_eq!(
        reason(&check, &sent(field.clone())).await,
        Some(Reason::Expired)
    );
    clock.set(clock.now() - Duration::from_secs(21 * 60));
    assert_eq!(reason(&check, &sent(field)).await, Some(Reason::Expired));
    // Challenges of this process are issued by the same time, so they pass.
    let next = solved(&check, &ChallengeRequest::new()).await;
    assert_eq!(reason(&check, &sent(next)).await, None);
}
