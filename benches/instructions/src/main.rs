//! Does one thing many times, for a profiler that counts instructions.
//!
//! `human-check-instructions PATH N` goes N times along one of [`PATHS`]. Without arguments it prints
//! their names. `scripts/instructions` compares the counts with those of `baseline.txt`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use human_check_altcha::{ALTCHA, Altcha, Difficulty, Keys};
use human_check_core::{
    Capabilities, ChallengeIssuer, ChallengeRequest, CheckError, CircuitBreakerPolicy, FactKind,
    Facts, HumanCheck, HumanCheckExt, MAX_TOKEN_BYTES, MemoryReplayStore, Policy, Provider, Score,
    Secret, Submission, Verdict,
};
use human_check_guard::integration::{SubmittedTokens, TokenFields, scan};
use human_check_guard::{Guard, RequestHead, RoutePolicy};
use human_check_http::{MockTransport, ProviderClient, Reply};
use human_check_testkit::solve;
use human_check_turnstile::{TURNSTILE, Turnstile};
use tokio::runtime::{Builder, Runtime};

/// What is measured: a check of Turnstile without the network; deadline, circuit breaker, policy and
/// single use around a check that does nothing; the same with a token of 2 KiB; the decision of a
/// guard; a proof of work; and a token that is found in a form.
const PATHS: [&str; 6] = ["turnstile", "stack", "stack-2k", "guard", "altcha", "scan"];

static ACME: Provider = Provider::new("acme", &["acme-response"]);

/// A check that reads the token, as adapters do, and accepts it.
#[derive(Debug)]
struct Stub;

#[async_trait]
impl HumanCheck for Stub {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&ACME)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing().always(FactKind::Score)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        if let Err(refusal) = submission.token_for(&ACME, MAX_TOKEN_BYTES) {
            return Ok(refusal.into());
        }
        let mut facts = Facts::new(&ACME);
        facts.score = Score::humanity(0.9).ok();
        Ok(Verdict::Human(facts))
    }
}

/// A request as a browser sends it, without a token in the header.
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &'static str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        Some([203, 0, 113, 7].into())
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in [
            ("host", "www.example.com"),
            ("content-type", "application/json"),
            ("content-length", "1100"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
            ("accept", "text/html,application/xhtml+xml"),
        ] {
            line(name, value.as_bytes());
        }
    }
}

/// Returns a token of `length` bytes that is different for each number.
fn token(number: usize, length: usize) -> String {
    let mut token = format!("{number:016x}");
    let rest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789";
    while token.len() < length {
        token.push_str(&rest[..rest.len().min(length - token.len())]);
    }
    token
}

fn submissions(provider: &Provider, n: usize, length: usize) -> Vec<Submission> {
    let all = (0..n).map(|number| Submission::new().with_token(provider, token(number, length)));
    all.collect()
}

/// The part that is counted: the profiler counts inside of this function only.
#[inline(never)]
fn measured(runtime: &Runtime, work: impl Future<Output = ()>) {
    runtime.block_on(work);
}

fn check_all(runtime: &Runtime, check: &dyn HumanCheck, all: &[Submission]) {
    measured(runtime, async {
        for submission in all {
            assert!(check.check(submission).await.unwrap().is_human());
        }
    });
}

fn turnstile(runtime: &Runtime, n: usize) {
    let reply = r#"{"success":true,"error-codes":[],"challenge_ts":"2026-01-01T00:00:00.000Z","hostname":"www.example.com","action":"login","cdata":"session-0123456789","metadata":{"interactive":false,"ephemeral_id":"x:9f78e0ed210960d7693b167e"}}"#;
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, reply)));
    let secret = Secret::new("0x4AAAAAAABenchSecret00000000000001").unwrap();
    let policy = Policy::new()
        .with_hostnames(["shop.example.com", "www.example.com"])
        .unwrap()
        .with_action("login")
        .with_max_age(Duration::from_secs(1_000_000_000));
    let check = Turnstile::new(&client, secret).unwrap();
    let check = check.enforce(policy).unwrap();
    check_all(runtime, &check, &submissions(&TURNSTILE, n, 1_024));
}

fn stack(runtime: &Runtime, n: usize, length: usize) {
    let policy = Policy::new().with_min_score(Score::humanity(0.5).unwrap());
    let check = Stub
        .timeout(Duration::from_secs(2))
        .circuit_breaker(CircuitBreakerPolicy::default())
        .unwrap()
        .enforce(policy)
        .unwrap()
        .replay_guard(MemoryReplayStore::new(1_000_000));
    check_all(runtime, &check, &submissions(&ACME, n, length));
}

fn guard(runtime: &Runtime, n: usize) {
    let guard = Guard::new(Stub, RoutePolicy::fail_closed("bench")).unwrap();
    let head = Head;
    let tokens: Vec<_> = (0..n).map(|number| token(number, 1_024)).collect();
    measured(runtime, async {
        for token in &tokens {
            let guard = guard.snapshot();
            let mut found = SubmittedTokens::none();
            let field = guard.fields().find("acme-response").unwrap();
            found.push(field, token.as_str());
            let decision = guard.inspect(&head).with_tokens(found).decide().await;
            assert!(decision.result().is_ok());
        }
    });
}

fn altcha(runtime: &Runtime, n: usize) {
    let keys = Keys::new(Secret::new("bench-secret-0123456789abcdef0123").unwrap()).unwrap();
    let store = MemoryReplayStore::new(1_000_000);
    let check = Altcha::new(keys, "www.example.com", store).unwrap();
    let check = check.with_difficulty(Difficulty::light().with_tries(1).unwrap());
    let all: Vec<_> = (0..n)
        .map(|_| {
            let request = ChallengeRequest::new().with_action("signup");
            let challenge = runtime.block_on(check.issue(&request)).unwrap();
            Submission::new().with_token(&ALTCHA, solve(challenge.json()).unwrap())
        })
        .collect();
    check_all(runtime, &check, &all);
}

fn find(runtime: &Runtime, n: usize) {
    let fields = TokenFields::of(&Stub);
    let form: Vec<_> = (0..20)
        .map(|field| format!("field-{field}=value"))
        .collect();
    let form = format!("{}&acme-response={}", form.join("&"), token(0, 1_024));
    measured(runtime, async {
        for _ in 0..n {
            let tokens = scan::form(&fields, form.as_bytes());
            assert!(!tokens.is_empty());
        }
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, n] = arguments.as_slice() else {
        println!("{}", PATHS.join("\n"));
        return;
    };
    let n = n.parse().unwrap();
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    match path.as_str() {
        "turnstile" => turnstile(&runtime, n),
        "stack" => stack(&runtime, n, 1_024),
        "stack-2k" => stack(&runtime, n, 2_048),
        "guard" => guard(&runtime, n),
        "altcha" => altcha(&runtime, n),
        "scan" => find(&runtime, n),
        path => panic!("{path} is not one of {PATHS:?}"),
    }
}
