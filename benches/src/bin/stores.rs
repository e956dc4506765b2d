//! What the stores of spent tokens cost, against what somebody would write in their place.
//!
//! `bench-stores memory N` claims N tokens in `MemoryReplayStore` and in moka, by turns and through the same trait.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails says so and prints what it finds"
)]

use std::alloc::System;
use std::time::{Duration, Instant};

use human_check_bench::{median, token_number};
use human_check_core::adapter::async_trait;
use human_check_core::{
    ClaimError, Claimed, DigestKey, MemoryReplayStore, Provider, ReplayStore, Submission, TokenId,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ACME: Provider = Provider::new("acme", &["acme-response"]);
const LIFE: Duration = Duration::from_secs(300);
const LENGTH: usize = 1_024;

/// The usual cache with a time to live, under the same digest.
#[derive(Debug)]
struct Moka {
    cache: moka::sync::Cache<u128, ()>,
    key: DigestKey,
}

impl Moka {
    fn new() -> Self {
        Self {
            cache: moka::sync::Cache::builder().time_to_live(LIFE).build(),
            key: DigestKey::random(),
        }
    }
}

#[async_trait]
impl ReplayStore for Moka {
    fn max_ttl(&self) -> Duration {
        LIFE
    }

    async fn claim(&self, claim: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        let digest = u128::from_le_bytes(claim.digest(&self.key));
        let entry = self.cache.entry(digest).or_insert(());
        Ok(if entry.is_fresh() {
            Claimed::First
        } else {
            Claimed::Duplicate
        })
    }
}

/// Only the digest, which both have to make.
#[derive(Debug)]
struct Digest(DigestKey);

#[async_trait]
impl ReplayStore for Digest {
    fn max_ttl(&self) -> Duration {
        LIFE
    }

    async fn claim(&self, claim: TokenId<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        std::hint::black_box(claim.digest(&self.0));
        Ok(Claimed::First)
    }
}

fn submissions(from: usize, n: usize) -> Vec<Submission> {
    let numbers = from..from + n;
    let all = numbers.map(|n| Submission::new().with_token(&ACME, token_number(n, LENGTH)));
    all.collect()
}

/// All that a profiler is to count.
#[inline(never)]
fn measured(runtime: &Runtime, store: &dyn ReplayStore, all: &[Submission], expected: Claimed) {
    runtime.block_on(async {
        for submission in all {
            let claim = TokenId::of_submission(submission, &ACME);
            assert_eq!(store.claim(claim, LIFE).await.unwrap(), expected);
        }
    });
}

/// Nanoseconds a claim, without the making of the tokens.
fn claims(runtime: &Runtime, store: &dyn ReplayStore, n: usize, expected: Claimed) -> f64 {
    const BATCH: usize = 1_000;
    let mut took = Duration::ZERO;
    for from in (0..n).step_by(BATCH) {
        let all = submissions(from, BATCH);
        let start = Instant::now();
        measured(runtime, store, &all, expected);
        took += start.elapsed();
    }
    took.as_nanos() as f64 / n as f64
}

/// Rows of first and repeated claims in nanoseconds, and bytes a claim.
fn memory(n: usize) {
    const ROUNDS: usize = 3;
    let runtime = Builder::new_current_thread().build().unwrap();
    let digest = Digest(DigestKey::random());
    let mut digests = Vec::new();
    let mut figures = [const { (Vec::new(), Vec::new(), Vec::new()) }; 2];
    let mut ratios = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let digest = claims(&runtime, &digest, n.min(200_000), Claimed::First);
        digests.push(digest);
        let mut this = [(0.0, 0.0); 2];
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let region = Region::new(ALLOCATOR);
            let moka = (which == 1).then(Moka::new);
            let ours = (which == 0).then(|| MemoryReplayStore::new(2 * n).with_ttl(LIFE));
            let store: &dyn ReplayStore = match (&moka, &ours) {
                (Some(moka), _) => moka,
                (_, ours) => ours.as_ref().unwrap(),
            };
            let first = claims(&runtime, store, n, Claimed::First);
            if let Some(moka) = &moka {
                moka.cache.run_pending_tasks();
            }
            let change = region.change();
            let kept = change.bytes_allocated - change.bytes_deallocated;
            let repeat = claims(&runtime, store, n, Claimed::Duplicate);
            this[which] = (first, repeat);
            figures[which].0.push(first);
            figures[which].1.push(repeat);
            figures[which].2.push(kept as f64 / n as f64);
        }
        let [ours, moka] = this;
        ratios[0].push(ours.0 / moka.0);
        ratios[1].push(ours.1 / moka.1);
        ratios[2].push((ours.0 - digest) / (moka.0 - digest));
        ratios[3].push((ours.1 - digest) / (moka.1 - digest));
    }
    println!(
        "digest {:.0} {:.0} -",
        median(digests.clone()),
        median(digests)
    );
    for (name, (first, repeat, bytes)) in ["memory", "moka"].into_iter().zip(figures) {
        let (first, repeat, bytes) = (median(first), median(repeat), median(bytes));
        println!("{name} {first:.0} {repeat:.0} {bytes:.1}");
    }
    let [first, repeat, first_bare, repeat_bare] = ratios.map(median);
    println!("ratio {first:.2} {repeat:.2} -");
    println!("ratio-without-digest {first_bare:.2} {repeat_bare:.2} -");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["memory", n] => memory(n.parse().unwrap()),
        [which @ ("count-memory" | "count-moka" | "count-digest"), n] => {
            let runtime = Builder::new_current_thread().build().unwrap();
            let store: Box<dyn ReplayStore> = match which {
                "count-memory" => Box::new(MemoryReplayStore::new(1_000_000).with_ttl(LIFE)),
                "count-moka" => Box::new(Moka::new()),
                _ => Box::new(Digest(DigestKey::random())),
            };
            let n = n.parse().unwrap();
            measured(&runtime, &*store, &submissions(0, n), Claimed::First);
        }
        _ => panic!("see scripts/bench for what this can do"),
    }
}
