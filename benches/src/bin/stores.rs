//! The cost of the stores in memory: of the replay store compared with the cache library moka, and of
//! the attempt store.
//!
//! - `bench-stores memory N` claims N tokens in `MemoryReplayStore` and in moka, in turns and
//!   through the same trait.
//! - `bench-stores attempts THREADS N` counts N attempts and prints the threads and the attempts a
//!   second, in millions.
//! - `bench-stores stalls N` prints the longest claim and the longest attempt in microseconds, while
//!   the stores grow to N entries, are full and expire.
//! - `bench-stores count-memory|count-moka|count-digest N` claims N tokens, for a profiler.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::alloc::System;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use human_check_bench::{median, token_number};
use human_check_core::adapter::async_trait;
use human_check_core::{
    ClaimError, Claimed, DigestKey, MemoryReplayStore, Provider, ReplayStore, Submission, TokenId,
};
use human_check_guard::{AttemptKey, AttemptStore, MemoryAttemptStore};
use human_check_testkit::ManualClock;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ACME: Provider = Provider::new("acme", &["acme-response"]);
const TTL: Duration = Duration::from_secs(300);
const LENGTH: usize = 1_024;

/// A cache with a time to live, with the same digest as its key.
#[derive(Debug)]
struct Moka {
    cache: moka::sync::Cache<u128, ()>,
    key: DigestKey,
}

impl Moka {
    fn new() -> Self {
        Self {
            cache: moka::sync::Cache::builder().time_to_live(TTL).build(),
            key: DigestKey::random(),
        }
    }
}

#[async_trait]
impl ReplayStore for Moka {
    fn max_ttl(&self) -> Duration {
        TTL
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

/// A store that only computes the digest, which the two other stores compute, too.
#[derive(Debug)]
struct Digest(DigestKey);

#[async_trait]
impl ReplayStore for Digest {
    fn max_ttl(&self) -> Duration {
        TTL
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

/// The code that a profiler counts.
#[inline(never)]
fn measured(runtime: &Runtime, store: &dyn ReplayStore, all: &[Submission], expected: Claimed) {
    runtime.block_on(async {
        for submission in all {
            let claim = TokenId::of_submission(submission, &ACME);
            assert_eq!(store.claim(claim, TTL).await.unwrap(), expected);
        }
    });
}

/// Returns the nanoseconds of a claim, without the creation of the tokens.
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

/// Prints the nanoseconds of a first and of a repeated claim, and the bytes of a claim.
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
            let memory = (which == 0).then(|| MemoryReplayStore::new(2 * n).with_ttl(TTL));
            let store: &dyn ReplayStore = match (&moka, &memory) {
                (Some(moka), _) => moka,
                (_, memory) => memory.as_ref().unwrap(),
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
        let [memory, moka] = this;
        ratios[0].push(memory.0 / moka.0);
        ratios[1].push(memory.1 / moka.1);
        ratios[2].push((memory.0 - digest) / (moka.0 - digest));
        ratios[3].push((memory.1 - digest) / (moka.1 - digest));
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

/// Prints the attempts a second of so many threads together, in millions.
fn attempts(threads: usize, n: usize) {
    const ROUNDS: usize = 7;
    let each = n / threads;
    let rounds = (0..ROUNDS).map(|_| {
        let store = MemoryAttemptStore::new(1_000_000);
        let begin = Arc::new(Barrier::new(threads + 1));
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (store, begin) = (store.clone(), Arc::clone(&begin));
                let keys: Vec<_> = (0..each.min(1_000))
                    .map(|n| AttemptKey::named(thread * 1_000 + n))
                    .collect();
                thread::spawn(move || {
                    let runtime = Builder::new_current_thread().build().unwrap();
                    begin.wait();
                    runtime.block_on(async {
                        for key in keys.iter().cycle().take(each) {
                            store.add(key, TTL).await.unwrap();
                        }
                    });
                })
            })
            .collect();
        begin.wait();
        let start = Instant::now();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        (each * threads) as f64 / start.elapsed().as_secs_f64() / 1e6
    });
    println!("{threads} {:.1}", median(rounds.collect()));
}

/// Prints the longest claim and the longest attempt in microseconds, while the stores grow to N
/// entries and then expire, and for each of them the hundredth in the order of length.
///
/// It measures the time of the processor that the thread has used. Interrupts of the machine are part
/// of that, so the longest one says more about the machine. Stores have many parts that grow in the
/// same way, so the hundredth shows how long that takes.
fn stalls(n: usize) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let clock = ManualClock::starting_now();
    let claims = MemoryReplayStore::new(n)
        .with_ttl(TTL)
        .with_clock(clock.clone());
    let attempts = MemoryAttemptStore::new(n).with_clock(clock.clone());
    let mut all = [Vec::new(), Vec::new()];
    // At N entries the stores are full. When they have expired, N others take their places.
    for number in 0..3 * n {
        if number == 2 * n {
            clock.advance(2 * TTL);
        }
        let submission = Submission::new().with_token(&ACME, token_number(number, 32));
        let key = AttemptKey::named(number);
        let took = runtime.block_on(async {
            let start = processor_time();
            // A full store is an error.
            let _ = claims
                .claim(TokenId::of_submission(&submission, &ACME), TTL)
                .await;
            let claimed = processor_time();
            attempts.add(&key, TTL).await.unwrap();
            [claimed - start, processor_time() - claimed]
        });
        for (all, took) in all.iter_mut().zip(took) {
            all.push(took);
        }
    }
    for (name, mut all) in ["claim", "attempt"].into_iter().zip(all) {
        all.sort_unstable();
        let micros = |from_the_end: usize| all[all.len() - from_the_end].as_nanos() as f64 / 1e3;
        println!("{name} {:.0} {:.0}", micros(1), micros(100));
    }
}

/// Returns the time of the processor that this thread has used.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["attempts", threads, n] => attempts(threads.parse().unwrap(), n.parse().unwrap()),
        ["stalls", n] => stalls(n.parse().unwrap()),
        ["memory", n] => memory(n.parse().unwrap()),
        [which @ ("count-memory" | "count-moka" | "count-digest"), n] => {
            let runtime = Builder::new_current_thread().build().unwrap();
            let store: Box<dyn ReplayStore> = match which {
                "count-memory" => Box::new(MemoryReplayStore::new(1_000_000).with_ttl(TTL)),
                "count-moka" => Box::new(Moka::new()),
                _ => Box::new(Digest(DigestKey::random())),
            };
            let n = n.parse().unwrap();
            measured(&runtime, &*store, &submissions(0, n), Claimed::First);
        }
        _ => panic!("unknown arguments; scripts/bench has the valid ones"),
    }
}
