//! The cost of proofs of work for the server, in one thread.
//!
//! - `bench-proof-of-work presets N` issues N challenges of each preset and verifies their tokens.
//! - `bench-proof-of-work forged N` verifies N forged tokens of several kinds.
//! - `bench-proof-of-work memory N` prints the memory of N verifications that wait for the store.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::future::pending;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use human_check_altcha::{ALTCHA, Altcha, Difficulty, Keys};
use human_check_bench::median;
use human_check_core::adapter::async_trait;
use human_check_core::{
    ChallengeIssuer, ChallengeRequest, ClaimError, Claimed, HumanCheck, MemoryReplayStore,
    ReplayStore, Secret, Submission, TokenId,
};
use human_check_testkit::solve;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn altcha<S: ReplayStore>(difficulty: Difficulty, store: S) -> Altcha<S> {
    let keys = Keys::new(Secret::new("bench-secret-0123456789abcdef0123").unwrap()).unwrap();
    let altcha = Altcha::new(keys, "www.example.com", store).unwrap();
    altcha.with_difficulty(difficulty)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Issues a challenge and returns a submission with its solution.
async fn solved(altcha: &impl ChallengeIssuer) -> Submission {
    let request = ChallengeRequest::new().with_action("signup");
    let field = solve(altcha.issue(&request).await.unwrap().json()).unwrap();
    Submission::new().with_token(&ALTCHA, field)
}

/// Returns the microseconds of one call, as the median of 11 rounds of `n` calls.
fn each(n: usize, mut one: impl FnMut()) -> f64 {
    let rounds = (0..11).map(|_| {
        let start = Instant::now();
        (0..n).for_each(|_| one());
        start.elapsed().as_secs_f64() * 1e6 / n as f64
    });
    median(rounds.collect())
}

fn presets(n: usize) {
    let runtime = runtime();
    for (name, difficulty) in [
        ("light", Difficulty::light()),
        ("standard", Difficulty::standard()),
        ("sha", Difficulty::sha()),
        ("scrypt", Difficulty::scrypt()),
        ("argon2id", Difficulty::argon2id()),
    ] {
        let heavy = matches!(name, "scrypt" | "argon2id");
        let n = if heavy { 5 } else { n };
        // The number of tries that a visitor needs does not change the cost for the server.
        let altcha = altcha(
            difficulty.with_tries(1).unwrap(),
            MemoryReplayStore::new(10_000_000),
        );
        let request = ChallengeRequest::new().with_action("signup");
        let issue = each(n, || {
            runtime.block_on(altcha.issue(&request)).unwrap();
        });
        let submissions: Vec<_> = (0..n * 11)
            .map(|_| runtime.block_on(solved(&altcha)))
            .collect();
        let mut submissions = submissions.iter();
        let verify = each(n, || {
            let verdict = runtime.block_on(altcha.check(submissions.next().unwrap()));
            assert!(verdict.unwrap().is_human());
        });
        let both = 1e6 / (issue + verify);
        println!("| `{name}` | {issue:.0} | {verify:.1} | {both:.0} |");
    }
}

/// Returns a valid token with a changed payload, as an attacker without the secret can send it.
fn forged(field: &str, change: impl FnOnce(&mut Value)) -> Submission {
    let mut payload: Value = serde_json::from_slice(&STANDARD.decode(field).unwrap()).unwrap();
    change(&mut payload);
    Submission::new().with_token(&ALTCHA, STANDARD.encode(payload.to_string()))
}

fn forgeries(n: usize) {
    let runtime = runtime();
    let altcha = altcha(
        Difficulty::light().with_tries(1).unwrap(),
        MemoryReplayStore::new(10),
    );
    let challenge = runtime
        .block_on(altcha.issue(&ChallengeRequest::new()))
        .unwrap();
    let field = solve(challenge.json()).unwrap();
    let costly = |p: &mut Value| {
        let parameters = &mut p["challenge"]["parameters"];
        parameters["cost"] = json!(u32::MAX);
        parameters.as_object_mut().unwrap().remove("keySignature");
    };
    let stuffed = |members: u32| {
        move |p: &mut Value| {
            costly(p);
            let data: BTreeMap<_, _> = (0..members).map(|n| (format!("{n:x}"), n % 10)).collect();
            p["challenge"]["parameters"]["data"] = json!(data);
        }
    };
    for (what, submission) in [
        ("tampered, as long as usual", forged(&field, costly)),
        (
            "tampered, with all members that the adapter reads",
            forged(&field, stuffed(28)),
        ),
        (
            "tampered, stuffed with members",
            forged(&field, stuffed(400)),
        ),
        (
            "tampered, one long text",
            forged(&field, |p| {
                costly(p);
                p["challenge"]["parameters"]["data"]["x"] = json!("a".repeat(2_000));
            }),
        ),
        (
            "not base64",
            Submission::new().with_token(&ALTCHA, "%".repeat(700)),
        ),
        (
            "not JSON",
            Submission::new().with_token(&ALTCHA, STANDARD.encode("[".repeat(500))),
        ),
    ] {
        let bytes = submission.token_for(&ALTCHA, 65_536).unwrap().len();
        let mut reason = None;
        let took = each(n, || {
            let verdict = runtime.block_on(altcha.check(&submission)).unwrap();
            reason = verdict.refusal().map(human_check_core::Refusal::reason);
        });
        println!("| {what} | {bytes} | {took:.1} | {} |", reason.unwrap());
    }
}

/// A store that never replies.
#[derive(Debug)]
struct StalledStore;

#[async_trait]
impl ReplayStore for StalledStore {
    fn max_ttl(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    async fn claim(&self, _: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        pending().await
    }
}

fn memory(n: usize) {
    let runtime = runtime();
    let altcha = altcha(Difficulty::light().with_tries(1).unwrap(), StalledStore);
    let submissions: Vec<_> = (0..n).map(|_| runtime.block_on(solved(&altcha))).collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut open = Vec::with_capacity(n);
    let region = Region::new(ALLOCATOR);
    for submission in &submissions {
        let mut check = altcha.check(submission);
        assert!(check.as_mut().poll(&mut context).is_pending());
        open.push(check);
    }
    let change = region.change();
    let held = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    println!(
        "{:.0} bytes held by each of {n} verifications in flight",
        held / n as f64
    );
    drop(open);
    for (name, difficulty) in [
        ("scrypt", Difficulty::scrypt()),
        ("argon2id", Difficulty::argon2id()),
    ] {
        let altcha = self::altcha(difficulty, MemoryReplayStore::new(10));
        let region = Region::new(ALLOCATOR);
        runtime
            .block_on(altcha.issue(&ChallengeRequest::new()))
            .unwrap();
        let mebibytes = region.change().bytes_allocated as f64 / f64::from(1 << 20);
        println!("{mebibytes:.1} MiB allocated to issue one challenge of {name}");
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let n = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(200);
    match mode.as_str() {
        "presets" => presets(n),
        "forged" => forgeries(n),
        "memory" => memory(n),
        _ => println!("usage: bench-proof-of-work presets|forged|memory N"),
    }
}
