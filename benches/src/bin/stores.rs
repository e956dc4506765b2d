//! What the stores of spent tokens cost, against what somebody would write in their place.
//!
//! `bench-stores memory N` claims N tokens in `MemorySpent` and in moka, by turns and through the same trait.
//! `bench-stores redis N WORKERS` starts a `redis-server` and takes turns with a bare `SET NX PX`: N claims by 64
//! tasks on so many threads.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails says so and prints what it finds"
)]

use std::alloc::System;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check::{
    Claim, ClaimError, Claimed, DigestKey, MemorySpent, Provider, Secret, SpentTokens, Submission,
    async_trait,
};
use human_check_bench::{median, token_number};
use human_check_redis::{RedisServer, RedisSpent};
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
impl SpentTokens for Moka {
    fn longest_life(&self) -> Duration {
        LIFE
    }

    async fn claim(&self, claim: Claim<'_>, _: Duration) -> Result<Claimed, ClaimError> {
        let digest = u128::from_le_bytes(claim.digest(&self.key));
        let entry = self.cache.entry(digest).or_insert(());
        Ok(if entry.is_fresh() {
            Claimed::First
        } else {
            Claimed::Before
        })
    }
}

/// Only the digest, which both have to make.
#[derive(Debug)]
struct Digest(DigestKey);

#[async_trait]
impl SpentTokens for Digest {
    fn longest_life(&self) -> Duration {
        LIFE
    }

    async fn claim(&self, claim: Claim<'_>, _: Duration) -> Result<Claimed, ClaimError> {
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
fn measured(runtime: &Runtime, store: &dyn SpentTokens, all: &[Submission], expected: Claimed) {
    runtime.block_on(async {
        for submission in all {
            let claim = Claim::answer(submission, &ACME);
            assert_eq!(store.claim(claim, LIFE).await.unwrap(), expected);
        }
    });
}

/// Nanoseconds a claim, without the making of the tokens.
fn claims(runtime: &Runtime, store: &dyn SpentTokens, n: usize, expected: Claimed) -> f64 {
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
            let ours = (which == 0).then(|| MemorySpent::with_life(2 * n, LIFE));
            let store: &dyn SpentTokens = match (&moka, &ours) {
                (Some(moka), _) => moka,
                (_, ours) => ours.as_ref().unwrap(),
            };
            let first = claims(&runtime, store, n, Claimed::First);
            if let Some(moka) = &moka {
                moka.cache.run_pending_tasks();
            }
            let change = region.change();
            let kept = change.bytes_allocated - change.bytes_deallocated;
            let repeat = claims(&runtime, store, n, Claimed::Before);
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

/// A `redis-server` that ends with the benchmark.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts; on Debian `apt-get install redis-server` brings it");
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "it listens");
            std::thread::sleep(Duration::from_millis(2));
        }
        let url = format!("redis://127.0.0.1:{port}");
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TASKS: usize = 64;

/// Claims a second: each task claims its tokens one after the other.
async fn ours(store: &Arc<RedisSpent>, all: &Arc<Vec<Submission>>) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, all) = (Arc::clone(store), Arc::clone(all));
            tokio::spawn(async move {
                for submission in all.iter().skip(task).step_by(TASKS) {
                    let claim = Claim::answer(submission, &ACME);
                    let claimed = store.claim(claim, LIFE).await.unwrap();
                    assert_eq!(claimed, Claimed::First);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    all.len() as f64 / start.elapsed().as_secs_f64()
}

/// The same without the library.
async fn bare(connection: &redis::aio::ConnectionManager, from: usize, n: usize) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let mut connection = connection.clone();
            tokio::spawn(async move {
                for number in (from..from + n).skip(task).step_by(TASKS) {
                    let mut command = redis::cmd("SET");
                    command
                        .arg(format!("bench:spent:bare:{number:032x}"))
                        .arg(1);
                    command.arg("NX").arg("PX").arg(300_000);
                    let answer = connection.send_packed_command(&command).await.unwrap();
                    assert_eq!(answer, redis::Value::Okay);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    n as f64 / start.elapsed().as_secs_f64()
}

/// Medians of the rounds, and of the ratios within each.
async fn redis(n: usize) {
    const ROUNDS: usize = 15;
    let server = Server::start();
    let client = redis::Client::open(server.url.as_str()).unwrap();
    let connection = redis::aio::ConnectionManager::new(client).await.unwrap();
    let url = Secret::new(server.url.clone()).unwrap();
    let secret = Secret::new("bench").unwrap();
    let store = Arc::new(RedisSpent::new(RedisServer::new(&url).unwrap(), &secret));
    let (mut of_bare, mut of_ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let all = Arc::new(submissions(round * n, n));
        let (bare, ours) = if round % 2 == 0 {
            let bare = bare(&connection, round * n, n).await;
            (bare, ours(&store, &all).await)
        } else {
            let ours = ours(&store, &all).await;
            (bare(&connection, round * n, n).await, ours)
        };
        // The first round warms up.
        if round > 0 {
            of_bare.push(bare);
            of_ours.push(ours);
            ratios.push(ours / bare);
        }
    }
    let (bare, ours) = (median(of_bare), median(of_ours));
    println!("{bare:.0} {ours:.0} {:.2}", median(ratios));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["memory", n] => memory(n.parse().unwrap()),
        [which @ ("count-memory" | "count-moka" | "count-digest"), n] => {
            let runtime = Builder::new_current_thread().build().unwrap();
            let store: Box<dyn SpentTokens> = match which {
                "count-memory" => Box::new(MemorySpent::with_life(1_000_000, LIFE)),
                "count-moka" => Box::new(Moka::new()),
                _ => Box::new(Digest(DigestKey::random())),
            };
            let n = n.parse().unwrap();
            measured(&runtime, &*store, &submissions(0, n), Claimed::First);
        }
        ["redis", n, workers] => {
            let workers = workers.parse().unwrap();
            let mut runtime = Builder::new_multi_thread();
            let runtime = runtime.worker_threads(workers).enable_all().build();
            runtime.unwrap().block_on(redis(n.parse().unwrap()));
        }
        _ => panic!("see scripts/bench for what this can do"),
    }
}
