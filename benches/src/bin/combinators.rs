//! What each combinator costs around a check that costs next to nothing itself.
//!
//! `bench-combinators WRAP N LENGTH` makes N checks with tokens of LENGTH bytes through one of [`WRAPS`] inside
//! `measured`, so that a profiler can count only that. `bench-combinators times N LENGTH` takes turns with all of
//! them and prints, as rows of a table, the median time and what it allocates. `bench-combinators stalled N`
//! compares how long a check takes with and without a shadow that never answers.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails says so and prints what it finds"
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

/// `yield` is `bare` and gives way once, as `shadow-1` has to so that its second opinion is formed.
const WRAPS: [&str; 13] = [
    "bare",
    "yield",
    "timeout",
    "breaker",
    "concurrency-limit",
    "enforce",
    "single-use",
    "failover",
    "accept",
    "shadow-0",
    "shadow-1",
    "retry",
    "stack",
];

/// Looks at the token, as adapters do, and says yes. What it says fits where it is.
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

/// Takes comparisons and forgets them.
#[derive(Debug)]
struct Nowhere;

impl ComparisonSink for Nowhere {
    fn record(&self, comparison: Comparison) {
        drop(std::hint::black_box(comparison));
    }
}

fn rules() -> Policy {
    Policy::new()
        .with_min_score(Score::humanity(0.5).unwrap())
        .with_max_age(Duration::from_secs(86_400))
}

fn wrapped(wrap: &str) -> Arc<dyn HumanCheck> {
    let (acme, other) = (Stub::new(&ACME), Stub::new(&OTHER));
    let second = Duration::from_secs(2);
    let breaker = CircuitBreakerPolicy::default();
    let spent = MemoryReplayStore::new(10_000_000);
    match wrap {
        "bare" | "yield" => Arc::new(acme),
        "timeout" => Arc::new(acme.timeout(second)),
        "breaker" => Arc::new(acme.circuit_breaker(breaker).unwrap()),
        "concurrency-limit" => Arc::new(acme.concurrency_limit(64)),
        "enforce" => Arc::new(acme.enforce(rules()).unwrap()),
        "single-use" => Arc::new(acme.replay_guard(spent)),
        "failover" => Arc::new(acme.failover_to(other).unwrap()),
        "accept" => Arc::new(acme.dual_accept(other).unwrap()),
        "shadow-0" | "shadow-1" => {
            let shadow = acme.shadow(other, Nowhere).unwrap();
            let share = if wrap == "shadow-0" { 0.0 } else { 1.0 };
            Arc::new(shadow.with_sample(share).unwrap())
        }
        "retry" => Arc::new(acme.retry_unsent()),
        "stack" => {
            let check = acme.timeout(second).circuit_breaker(breaker).unwrap();
            Arc::new(check.enforce(rules()).unwrap().replay_guard(spent))
        }
        _ => panic!("{wrap} is none of {WRAPS:?}"),
    }
}

/// Tokens that nobody has seen before; for a shadow, each with one of the second provider's.
fn submissions(wrap: &str, from: usize, n: usize, length: usize) -> Vec<Submission> {
    let all = (from..from + n).map(|number| {
        let token = token_number(number, length);
        let submission = Submission::new().with_token(&ACME, token.clone());
        if wrap.starts_with("shadow") {
            submission.with_token(&OTHER, token)
        } else {
            submission
        }
    });
    all.collect()
}

/// All that a profiler is to count.
#[inline(never)]
fn measured(runtime: &Runtime, check: &dyn HumanCheck, all: &[Submission], give_way: bool) {
    runtime.block_on(async {
        for submission in all {
            assert!(check.check(submission).await.unwrap().is_human());
            if give_way {
                tokio::task::yield_now().await;
            }
        }
    });
}

fn gives_way(wrap: &str) -> bool {
    matches!(wrap, "yield" | "shadow-1")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn once(wrap: &str, n: usize, length: usize) {
    let (runtime, check) = (runtime(), wrapped(wrap));
    let warm = submissions(wrap, 0, 100, length);
    // Not through `measured`.
    runtime.block_on(async {
        for submission in &warm {
            assert!(check.check(submission).await.unwrap().is_human());
            tokio::task::yield_now().await;
        }
    });
    let all = submissions(wrap, 100, n, length);
    measured(&runtime, &check, &all, gives_way(wrap));
}

fn times(n: usize, length: usize) {
    const ROUNDS: usize = 31;
    let runtime = runtime();
    let checks = WRAPS.map(wrapped);
    let mut times = WRAPS.map(|_| Vec::new());
    let mut allocations = [f64::MAX; WRAPS.len()];
    for round in 0..=ROUNDS {
        for (at, wrap) in WRAPS.into_iter().enumerate() {
            let all = submissions(wrap, round * n, n, length);
            let region = Region::new(ALLOCATOR);
            let start = Instant::now();
            measured(&runtime, &checks[at], &all, gives_way(wrap));
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
    for (at, wrap) in WRAPS.into_iter().enumerate() {
        let more = times[at].iter().zip(bare).map(|(with, bare)| with - bare);
        let more = median(more.collect());
        let all = median(times[at].clone());
        println!("{wrap} {all:.0} {more:.0} {:.1}", allocations[at]);
    }
}

/// A first provider on a task of its own, so that asking it takes a way there and back.
#[derive(Clone, Debug)]
struct Remote(mpsc::UnboundedSender<oneshot::Sender<()>>);

impl Remote {
    fn start() -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        drop(tokio::spawn(async move {
            while let Some(asked) = receiver.recv().await {
                let _ = asked.send(());
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
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).unwrap();
        answer.await.unwrap();
        Ok(Verdict::Human(Facts::new(&ACME)))
    }
}

/// Takes every question and answers none.
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

/// Pairs of the same question with and without the shadow, in either order.
async fn pairs(most: usize, n: usize) {
    const TASKS: usize = 8;
    let plain = Remote::start();
    let shadow = plain.clone().shadow(Stalled, Nowhere).unwrap();
    let shadow = Arc::new(shadow.with_max_in_flight(most));
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
        "{most} {} {} {}",
        three(&without),
        three(&with),
        three(&more)
    );
}

/// In microseconds.
async fn timed(check: &dyn HumanCheck, submission: &Submission) -> f64 {
    let start = Instant::now();
    assert!(check.check(submission).await.unwrap().is_human());
    start.elapsed().as_nanos() as f64 / 1_000.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["wraps"] => println!("{}", WRAPS.join(" ")),
        ["times", n, length] => times(n.parse().unwrap(), length.parse().unwrap()),
        ["stalled", n] => {
            let n = n.parse().unwrap();
            let mut runtime = Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(pairs(64, n));
            runtime.block_on(pairs(usize::MAX, n));
            // Those that stall would keep it waiting.
            runtime.shutdown_background();
        }
        [wrap, n, length] => once(wrap, n.parse().unwrap(), length.parse().unwrap()),
        _ => panic!("see scripts/bench for what this can do"),
    }
}
