//! Every fault of a provider through every combinator: what comes of it, how soon, and how often the
//! providers were asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_config::ProviderKind;
use human_check_core::{
    CheckError, CircuitBreakerPolicy, Comparison, ComparisonSink, ErrorKind, HumanCheck,
    HumanCheckExt, MemoryReplayStore, Policy, Submission, Verdict,
};
use human_check_emulator::{Emulator, Fault};
use human_check_http::ProviderClient;

use crate::support::{HOST, check, client, impatient_client, minted};

type Shared = Arc<dyn HumanCheck>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comes {
    Human,
    Is(ErrorKind),
}

/// Each fault, what the adapter makes of it, and how often Turnstile, which may be asked twice under
/// one key, is asked.
fn faults() -> Vec<(Fault, Comes, usize)> {
    use Comes::{Human, Is};
    use ErrorKind::{Misconfigured, Protocol, Unavailable};
    let body = |text: &str| Fault::Body { text: text.into() };
    let status = |code| Fault::Status {
        code,
        retry_after: None,
    };
    vec![
        (body("{}"), Is(Protocol), 1),
        (body("[true]"), Is(Protocol), 1),
        (body(r#"{"success":true,"success":true}"#), Is(Protocol), 1),
        (body(r#"{"success":"true"}"#), Is(Protocol), 1),
        (
            body(r#"{"success":false,"error-codes":["invalid-input-secret"]}"#),
            Is(Misconfigured),
            1,
        ),
        (Fault::Delay { millis: 5 }, Human, 1),
        (Fault::Delay { millis: 60_000 }, Is(Unavailable), 2),
        (Fault::Endless, Is(Protocol), 1),
        (Fault::Html { status: 503 }, Is(Unavailable), 2),
        (Fault::Html { status: 200 }, Is(Protocol), 1),
        (Fault::Oversized { bytes: 100_000 }, Is(Protocol), 1),
        (Fault::Redirect, Is(Protocol), 1),
        (Fault::Restatus { code: 500 }, Is(Unavailable), 2),
        (Fault::ResetAfter, Is(Unavailable), 2),
        (Fault::ResetBefore, Is(Unavailable), 2),
        (Fault::Stall, Is(Unavailable), 2),
        (Fault::StallBody, Is(Unavailable), 2),
        (status(429), Is(Unavailable), 2),
        (status(500), Is(Unavailable), 2),
        (status(502), Is(Unavailable), 2),
        (status(404), Is(Misconfigured), 1),
        (Fault::Trickle { millis: 1_000 }, Is(Unavailable), 2),
        (Fault::Truncated, Is(Unavailable), 2),
        (Fault::WrongLength, Is(Protocol), 1),
    ]
}

#[derive(Debug)]
struct Nowhere;

impl ComparisonSink for Nowhere {
    fn record(&self, _: Comparison) {}
}

/// One combinator around a provider that fails, and one that never does.
type Compose = fn(Shared, Shared) -> Shared;

const COMBINATORS: [(&str, Compose); 9] = [
    ("bare", |first, _| first),
    ("failover", |first, second| {
        Arc::new(first.failover_to(second).unwrap())
    }),
    ("accept", |first, second| {
        Arc::new(first.dual_accept(second).unwrap())
    }),
    ("shadow", |first, second| {
        Arc::new(first.shadow(second, Nowhere).unwrap())
    }),
    ("enforce", |first, _| {
        let policy = Policy::new().with_hostnames([HOST]).unwrap();
        Arc::new(first.enforce(policy).unwrap())
    }),
    ("replay_guard", |first, _| {
        Arc::new(first.replay_guard(MemoryReplayStore::new(1)))
    }),
    ("timeout", |first, _| {
        Arc::new(first.timeout(Duration::from_secs(2)))
    }),
    ("circuit_breaker", |first, _| {
        Arc::new(
            first
                .circuit_breaker(CircuitBreakerPolicy::default())
                .unwrap(),
        )
    }),
    ("concurrency_limit and retry_unsent", |first, _| {
        Arc::new(first.concurrency_limit(1).retry_unsent())
    }),
];

fn comes(outcome: &Result<Verdict, CheckError>) -> Comes {
    match outcome {
        Ok(verdict) => {
            assert!(verdict.is_human(), "{verdict:?}");
            Comes::Human
        }
        Err(error) => Comes::Is(error.kind()),
    }
}

/// Gives up soon where the fault lasts for ever, and has patience with a busy machine elsewhere.
fn client_for(fault: &Fault) -> ProviderClient {
    match fault {
        Fault::Delay { millis: 60_000 }
        | Fault::Stall
        | Fault::StallBody
        | Fault::Trickle { .. } => impatient_client(),
        _ => client(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_through_every_combinator() {
    for (fault, plain, _) in faults() {
        let mut runs = tokio::task::JoinSet::new();
        for (name, compose) in COMBINATORS {
            let fault = fault.clone();
            runs.spawn(async move {
                let [faulty, sound] = [
                    Emulator::start().await.unwrap(),
                    Emulator::start().await.unwrap(),
                ];
                let client = client_for(&fault);
                let first = Arc::from(check(ProviderKind::Hcaptcha, &faulty, &client));
                let second = Arc::from(check(ProviderKind::Turnstile, &sound, &client));
                let check = compose(first, second);
                let both = two_tokens(&faulty, &sound);
                faulty.fail(fault.clone(), None);
                let start = Instant::now();
                let outcome = check.check(&both).await;
                let took = start.elapsed();
                let what = format!("{fault:?} through {name}: {outcome:?}");
                let fails_over = name == "failover" && plain == Comes::Is(ErrorKind::Unavailable);
                let outage = plain == Comes::Is(ErrorKind::Unavailable);
                let expected = match name {
                    _ if fails_over => Comes::Human,
                    // The other provider could judge, and did.
                    "accept" if outage => Comes::Is(ErrorKind::Declined),
                    _ => plain,
                };
                assert_eq!(comes(&outcome), expected, "{what}");
                // The longest deadline is 3 s; the rest is for a busy machine.
                assert!(took < Duration::from_secs(5), "{took:?}: {what}");
                // hCaptcha's token is spent by being looked at, so nothing may repeat it.
                assert_eq!(faulty.requests().len(), 1, "{what}");
                let asks_second =
                    fails_over || (name == "accept" && (outage || plain == Comes::Human));
                if name != "shadow" {
                    assert_eq!(sound.requests().len(), usize::from(asks_second), "{what}");
                }
            });
        }
        while let Some(run) = runs.join_next().await {
            run.unwrap();
        }
    }
}

/// One submission with an answer for each of the two providers.
fn two_tokens(faulty: &Emulator, sound: &Emulator) -> Submission {
    let turnstile = minted(ProviderKind::Turnstile, sound);
    let token = turnstile
        .token_for(ProviderKind::Turnstile.provider(), usize::MAX)
        .unwrap();
    minted(ProviderKind::Hcaptcha, faulty).with_token(ProviderKind::Turnstile.provider(), token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_with_an_idempotency_key_is_called_twice_at_most_whatever_the_fault() {
    for (fault, plain, times) in faults() {
        let emulator = Emulator::start().await.unwrap();
        let turnstile = check(ProviderKind::Turnstile, &emulator, &client_for(&fault));
        let stack = turnstile
            .concurrency_limit(10)
            .retry_unsent()
            .replay_guard(MemoryReplayStore::new(1));
        let submission = minted(ProviderKind::Turnstile, &emulator);
        emulator.fail(fault.clone(), None);
        let outcome = stack.check(&submission).await;
        assert_eq!(comes(&outcome), plain, "{fault:?}");
        let asked = emulator.requests().len();
        assert!(asked <= times, "{fault:?}: asked {asked} times");
    }
}

/// What a visitor can do, as opposed to a provider.
fn visitors(emulator: &Emulator) -> Vec<Submission> {
    let provider = ProviderKind::Hcaptcha.provider();
    let token = |text: String| Submission::new().with_token(provider, text);
    let good = minted(ProviderKind::Hcaptcha, emulator);
    vec![
        Submission::new(),
        token(String::new()),
        token("forged:0000:0000".to_owned()),
        token("a b".to_owned()),
        token("a".repeat(10_000)),
        token("null".to_owned()),
        good.clone(),
        good.with_token(provider, "another"),
        Submission::new().with_token(ProviderKind::Turnstile.provider(), "forged"),
        Submission::new().with_token(&human_check_core::Provider::named("foreign"), "x"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_visitor_sends_looks_like_an_outage_through_any_combinator() {
    for (name, compose) in COMBINATORS {
        let emulator = Emulator::start().await.unwrap();
        let client = client();
        let first = Arc::from(check(ProviderKind::Hcaptcha, &emulator, &client));
        let second = Arc::from(check(ProviderKind::Turnstile, &emulator, &client));
        let check = compose(first, second);
        let mut passed = 0;
        for _ in 0..20 {
            for submission in visitors(&emulator) {
                // Twice, for a replay. The first of the good ones passes each time.
                for _ in 0..2 {
                    match check.check(&submission).await {
                        Ok(verdict) => passed += usize::from(verdict.is_human()),
                        Err(error) => {
                            let kind = error.kind();
                            let full =
                                name == "replay_guard" && kind == ErrorKind::StoreUnavailable;
                            assert!(full, "{name}: {error}");
                        }
                    }
                }
            }
        }
        // The store of the matrix has room for one.
        assert_eq!(
            passed,
            if name == "replay_guard" { 1 } else { 20 },
            "{name}"
        );
    }
}
