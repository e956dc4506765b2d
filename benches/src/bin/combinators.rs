//! The cost of each combinator around a check that does almost nothing.
//!
//! - `bench-combinators COMBINATOR N LENGTH` makes N checks with tokens of LENGTH bytes through one
//!   of [`COMBINATORS`] inside of `measured`, for a profiler.
//! - `bench-combinators times N LENGTH` measures all of them in turns. It prints the median in
//!   nanoseconds, the difference from `bare`, and the allocations of a check.
//! - `bench-combinators stalled N` compares a check with and without a shadow whose second provider
//!   never replies.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark panics on failure and prints its figures"
)]

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use human_check_bench::{median, percentile, token_number};
use human_check_core::adapter::async_trait;
use human_check_core::{
    Capabilities, CheckError, CircuitBreakerPolicy, Comparison, ComparisonSink, FactKind, Facts,
    HumanCheck, HumanCheckExt, MAX_TOKEN_BYTES, MemoryReplayStore, Policy, Provider, Score,
    Submission, Verdict,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ACME: Provider = Provider::new("acme", &["acme-response"]);
static OTHER: Provider = Provider::new("other", &["other-response"]);

/// The names for the command line. `yield` is `bare` with one `yield_now`, for comparison with
/// `shadow-1`, which needs it to run its second check.
const COMBINATORS: [&str; 13] = [
    "bare",
    "yield",
    "timeout",
    "circuit_breaker",
    "concurrency_limit",
    "enforce",
    "replay_guard",
    "failover",
    "dual_accept",
    "shadow-0",
    "shadow-1",
    "retry_unsent",
    "stack",
];

/// A check that reads the token, as adapters do, and accepts it.
#[derive(Debug)]
struct Stub(&'static Provider, SystemTime);

impl Stub {
    fn new(provider: &'static Provider) -> Self {
        Self(provider, SystemTime::now())
    }
}

#[async_trait]
impl HumanCheck for Stub {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(self.0)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
            .always(FactKind::Score)
            .always(FactKind::SolvedAt)
    }

    async fn check(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        if let Err(refusal) = submission.token_for(self.0, MAX_TOKEN_BYTES) {
            return Ok(refusal.into());
        }
        let mut facts = Facts::new(self.0);
        facts.score = Score::humanity(0.9).ok();
        facts.solved_at = Some(self.1);
        Ok(Verdict::Human(facts).check_expectations(submission))
    }
}

/// Discards comparisons.
#[derive(Debug)]
struct DiscardSink;

impl ComparisonSink for DiscardSink {
    fn record(&self, comparison: Comparison) {
        drop(std::hint::black_box(comparison));
    }

    fn lost(&self, _: &'static str) {}
}

fn rules() -> Policy {
    Policy::new()
        .with_min_score(Score::humanity(0.5).unwrap())
        .with_max_age(Duration::from_secs(86_400))
}

fn build(combinator: &str) -> Arc<dyn HumanCheck> {
    let (acme, other) = (Stub::new(&ACME), Stub::new(&OTHER));
    let second = Duration::from_secs(2);
    let breaker = CircuitBreakerPolicy::default();
    let store = MemoryReplayStore::new(10_000_000);
    match combinator {
        "bare" | "yield" => Arc::new(acme),
        "timeout" => Arc::new(acme.timeout(second)),
        "circuit_breaker" => Arc::new(acme.circuit_breaker(breaker).unwrap()),
        "concurrency_limit" => Arc::new(acme.concurrency_limit(64)),
        "enforce" => Arc::new(acme.enforce(rules()).unwrap()),
        "replay_guard" => Arc::new(acme.replay_guard(store)),
        "failover" => Arc::new(acme.failover_to(other).unwrap()),
        "dual_accept" => Arc::new(acme.dual_accept(other).unwrap()),
        "shadow-0" | "shadow-1" => {
            let shadow = acme.shadow(other, DiscardSink).unwrap();
            let share = if combinator == "shadow-0" { 0.0 } else { 1.0 };
            Arc::new(shadow.with_sample(share).unwrap())
        }
        "retry_unsent" => Arc::new(acme.retry_unsent()),
        "stack" => {
            let check = acme.timeout(second).circuit_breaker(breaker).unwrap();
            Arc::new(check.enforce(rules()).unwrap().replay_guard(store))
        }
        _ => panic!("{combinator} is not one of {COMBINATORS:?}"),
    }
}

/// Returns submissions with new tokens. For a shadow each has a token of the second provider, too.
fn submissions(combinator: &str, from: usize, n: usize, length: usize) -> Vec<Submission> {
    let all = (from..from + n).map(|number| {
        let token = token_number(number, length);
        let submission = Submission::new().with_token(&ACME, token.clone());
        if combinator.starts_with("shadow") {
            submission.with_token(&OTHER, token)
        } else {
            submission
        }
    });
    all.collect()
}

/// The code that a profiler counts.
#[inline(never)]
fn measured(runtime: &Runtime, check: &dyn HumanCheck, all: &[Submission], yields: bool) {
    runtime.block_on(async {
        for submission in all {
            assert!(check.check(submission).await.unwrap().is_human());
            if yields {
                tokio::task::yield_now().await;
            }
        }
    });
}

fn yields(combinator: &str) -> bool {
    matches!(combinator, "yield" | "shadow-1")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn once(combinator: &str, n: usize, length: usize) {
    let (runtime, check) = (runtime(), build(combinator));
    let warm = submissions(combinator, 0, 100, length);
    // Warms up without `measured`, which a profiler counts.
    runtime.block_on(async {
        for submission in &warm {
            assert!(check.check(submission).await.unwrap().is_human());
            tokio::task::yield_now().await;
        }
    });
    let all = submissions(combinator, 100, n, length);
    measured(&runtime, &check, &all, yields(combinator));
}

fn times(n: usize, length: usize) {
    const ROUNDS: usize = 31;
    let runtime = runtime();
    let checks = COMBINATORS.map(build);
    let mut times = COMBINATORS.map(|_| Vec::new());
    let mut allocations = [f64::MAX; COMBINATORS.len()];
    for round in 0..=ROUNDS {
        for (at, combinator) in COMBINATORS.into_iter().enumerate() {
            let all = submissions(combinator, round * n, n, length);
            let region = Region::new(ALLOCATOR);
            let start = Instant::now();
            measured(&runtime, &checks[at], &all, yields(combinator));
            let took = start.elapsed();
            let change = region.change();
            // The first round warms up.
            if round > 0 {
                times[at].push(took.as_nanos() as f64 / n as f64);
                let each = (change.allocations + change.reallocations) as f64 / n as f64;
                allocations[at] = allocations[at].min(each);
            }
        }
    }
    let [bare, ..] = &times;
    for (at, combinator) in COMBINATORS.into_iter().enumerate() {
        let more = times[at].iter().zip(bare).map(|(with, bare)| with - bare);
        let more = median(more.collect());
        let all = median(times[at].clone());
        println!("{combinator} {all:.0} {more:.0} {:.1}", allocations[at]);
    }
}

/// A first provider on a task of its own, so that a call to it needs a message in each direction.
#[derive(Clone, Debug)]
struct Remote(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Remote {
    fn start() -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        drop(tokio::spawn(async move {
            while let Some(call) = receiver.recv().await {
                let _ = call.send(());
            }
        }));
        Self(sender)
    }
}

#[async_trait]
impl HumanCheck for Remote {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&ACME)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        let (sender, reply) = oneshot::channel();
        self.0.send(sender).unwrap();
        reply.await.unwrap();
        Ok(Verdict::Human(Facts::new(&ACME)))
    }
}

/// A second provider that never replies.
#[derive(Debug)]
struct Stalled;

#[async_trait]
impl HumanCheck for Stalled {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&OTHER)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        std::future::pending().await
    }
}

/// Measures pairs of the same check with and without the shadow, alternately in both orders.
async fn pairs(max_in_flight: usize, n: usize) {
    const TASKS: usize = 8;
    let plain = Remote::start();
    let shadow = plain.clone().shadow(Stalled, DiscardSink).unwrap();
    let shadow = Arc::new(shadow.with_max_in_flight(max_in_flight));
    let plain = Arc::new(plain);
    let submission = &submissions("shadow", 0, 1, 1_024)[0];
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (plain, shadow, submission) = (plain.clone(), shadow.clone(), submission.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                for pair in 0..n / TASKS {
                    let without = pair % 2 == 0;
                    let one = if without {
                        timed(&*plain, &submission).await
                    } else {
                        timed(&*shadow, &submission).await
                    };
                    let two = if without {
                        timed(&*shadow, &submission).await
                    } else {
                        timed(&*plain, &submission).await
                    };
                    took.push(if without { (one, two) } else { (two, one) });
                }
                took
            })
        })
        .collect();
    let (mut without, mut with, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        for (plain, shadowed) in task.await.unwrap() {
            without.push(plain);
            with.push(shadowed);
            more.push(shadowed - plain);
        }
    }
    let three = |times: &[f64]| {
        let of = |share| percentile(times.to_vec(), share);
        format!("{:.1} {:.1} {:.1}", of(0.5), of(0.99), of(0.999))
    };
    println!(
        "{max_in_flight} {} {} {}",
        three(&without),
        three(&with),
        three(&more)
    );
}

/// Returns the duration of one check in microseconds.
async fn timed(check: &dyn HumanCheck, submission: &Submission) -> f64 {
    let start = Instant::now();
    assert!(check.check(submission).await.unwrap().is_human());
    start.elapsed().as_nanos() as f64 / 1_000.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["combinators"] => println!("{}", COMBINATORS.join(" ")),
        ["times", n, length] => times(n.parse().unwrap(), length.parse().unwrap()),
        ["stalled", n] => {
            let n = n.parse().unwrap();
            let mut runtime = Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(pairs(64, n));
            runtime.block_on(pairs(usize::MAX, n));
            // A regular shutdown would wait for the stalled checks.
            runtime.shutdown_background();
        }
        [combinator, n, length] => once(combinator, n.parse().unwrap(), length.parse().unwrap()),
        _ => panic!("unknown arguments; scripts/bench has the valid ones"),
    }
}
