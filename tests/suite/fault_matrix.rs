//! Every fault of a provider through every combinator: the outcome, the duration, and the number of
//! calls to each provider.

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

/// The outcome of a check without its details.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Human,
    Error(ErrorKind),
}

/// Returns each fault, the adapter's outcome, and the largest number of calls to Turnstile, which
/// may be called twice under one idempotency key.
fn faults() -> Vec<(Fault, Outcome, usize)> {
    use ErrorKind::{Misconfigured, Protocol, RateLimited, Unavailable};
    use Outcome::{Error, Human};
    let body = |text: &str| Fault::Body { text: text.into() };
    let status = |code| Fault::Status {
        code,
        retry_after: None,
    };
    vec![
        (body("{}"), Error(Protocol), 1),
        (body("[true]"), Error(Protocol), 1),
        (
            body(r#"{"success":true,"success":true}"#),
            Error(Protocol),
            1,
        ),
        (body(r#"{"success":"true"}"#), Error(Protocol), 1),
        (
            body(r#"{"success":false,"error-codes":["invalid-input-secret"]}"#),
            Error(Misconfigured),
            1,
        ),
        (Fault::Delay { millis: 5 }, Human, 1),
        (Fault::Delay { millis: 60_000 }, Error(Unavailable), 2),
        (Fault::Endless, Error(Protocol), 1),
        (Fault::Html { status: 503 }, Error(Unavailable), 2),
        (Fault::Html { status: 200 }, Error(Protocol), 1),
        (Fault::Oversized { bytes: 100_000 }, Error(Protocol), 1),
        (Fault::Redirect, Error(Protocol), 1),
        (Fault::Restatus { code: 500 }, Error(Unavailable), 2),
        (Fault::ResetAfter, Error(Unavailable), 2),
        (Fault::ResetBefore, Error(Unavailable), 2),
        (Fault::Stall, Error(Unavailable), 2),
        (Fault::StallBody, Error(Unavailable), 2),
        (status(429), Error(RateLimited), 1),
        (status(500), Error(Unavailable), 2),
        (status(502), Error(Unavailable), 2),
        (status(404), Error(Misconfigured), 1),
        (Fault::Trickle { millis: 1_000 }, Error(Unavailable), 2),
        (Fault::Truncated, Error(Unavailable), 2),
        (Fault::WrongLength, Error(Protocol), 1),
    ]
}

/// Discards comparisons.
#[derive(Debug)]
struct DiscardSink;

impl ComparisonSink for DiscardSink {
    fn record(&self, _: Comparison) {}

    fn lost(&self, _: &'static str) {}
}

/// Adds one combinator to the first check, whose provider fails. The second check's provider works.
type Compose = fn(Shared, Shared) -> Shared;

const COMBINATORS: [(&str, Compose); 9] = [
    ("bare", |first, _| first),
    ("failover", |first, second| {
        Arc::new(first.failover_to(second).unwrap())
    }),
    ("dual_accept", |first, second| {
        Arc::new(first.dual_accept(second).unwrap())
    }),
    ("shadow", |first, second| {
        Arc::new(first.shadow(second, DiscardSink).unwrap())
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

fn outcome_of(outcome: &Result<Verdict, CheckError>) -> Outcome {
    match outcome {
        Ok(verdict) => {
            assert!(verdict.is_human(), "{verdict:?}");
            Outcome::Human
        }
        Err(error) => Outcome::Error(error.kind()),
    }
}

/// Returns a client with short timeouts for faults that never end. Other faults get the default
/// timeouts, which are long enough for a busy machine.
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
    // A shadow goes on after its run, and tries again. The emulators live to the end, so that it does
    // not reach another one on the same port.
    let mut emulators = Vec::new();
    for (fault, plain, _) in faults() {
        let mut runs = tokio::task::JoinSet::new();
        for (name, compose) in COMBINATORS {
            let fault = fault.clone();
            runs.spawn(async move {
                let [faulty, healthy] = [
                    Emulator::start().await.unwrap(),
                    Emulator::start().await.unwrap(),
                ];
                let client = client_for(&fault);
                let first = Arc::from(check(ProviderKind::Hcaptcha, &faulty, &client));
                let second = Arc::from(check(ProviderKind::Turnstile, &healthy, &client));
                let check = compose(first, second);
                let both = two_tokens(&faulty, &healthy);
                faulty.fail(fault.clone(), None);
                let start = Instant::now();
                let outcome = check.check(&both).await;
                let took = start.elapsed();
                let what = format!("{fault:?} through {name}: {outcome:?}");
                let outage = plain == Outcome::Error(ErrorKind::Unavailable);
                let fails_over = name == "failover" && outage;
                let expected = match name {
                    _ if fails_over => Outcome::Human,
                    // One of the two providers works, so this is no outage.
                    "dual_accept" if outage => Outcome::Error(ErrorKind::Declined),
                    _ => plain,
                };
                assert_eq!(outcome_of(&outcome), expected, "{what}");
                // The longest timeout is 3 s; the rest is a margin for a busy machine.
                assert!(took < Duration::from_secs(5), "{took:?}: {what}");
                // hCaptcha accepts a token once, so no call may be repeated.
                assert_eq!(faulty.requests().len(), 1, "{what}");
                let calls_second =
                    fails_over || (name == "dual_accept" && (outage || plain == Outcome::Human));
                if name != "shadow" {
                    assert_eq!(
                        healthy.requests().len(),
                        usize::from(calls_second),
                        "{what}"
                    );
                }
                [faulty, healthy]
            });
        }
        while let Some(run) = runs.join_next().await {
            emulators.push(run.unwrap());
        }
    }
}

/// Returns a submission with a valid token for each of the two providers.
fn two_tokens(faulty: &Emulator, healthy: &Emulator) -> Submission {
    let turnstile = minted(ProviderKind::Turnstile, healthy);
    let token = turnstile
        .token_for(ProviderKind::Turnstile.provider(), usize::MAX)
        .unwrap();
    minted(ProviderKind::Hcaptcha, faulty).with_token(ProviderKind::Turnstile.provider(), token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_with_an_idempotency_key_is_called_twice_at_most_whatever_the_fault() {
    for (fault, plain, max_calls) in faults() {
        let emulator = Emulator::start().await.unwrap();
        let turnstile = check(ProviderKind::Turnstile, &emulator, &client_for(&fault));
        let stack = turnstile
            .concurrency_limit(10)
            .retry_unsent()
            .replay_guard(MemoryReplayStore::new(1));
        let submission = minted(ProviderKind::Turnstile, &emulator);
        emulator.fail(fault.clone(), None);
        let outcome = stack.check(&submission).await;
        assert_eq!(outcome_of(&outcome), plain, "{fault:?}");
        let calls = emulator.requests().len();
        assert!(calls <= max_calls, "{fault:?}: {calls} calls");
    }
}

/// Returns the kinds of submission that a visitor can send.
fn submissions(emulator: &Emulator) -> Vec<Submission> {
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
            for submission in submissions(&emulator) {
                // Sent twice, so that the second one is a replay. Only the valid token passes, and
                // once.
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
        // The replay store in `COMBINATORS` has a capacity of one.
        assert_eq!(
            passed,
            if name == "replay_guard" { 1 } else { 20 },
            "{name}"
        );
    }
}
