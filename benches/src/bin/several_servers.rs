//! Claims on several Redis servers: what more primaries bring, what waiting for a replica costs, and
//! what a failover loses.
//!
//! - `bench-several-servers scale CLAIMS CALLERS ROUNDS`: claims a second on clusters of 1, 3 and 6
//!   primaries, in turns, and the processor time of the client and of the servers for each claim.
//! - `bench-several-servers wait CLAIMS ROUNDS`: claims a second and the median time of one, without
//!   a replica and with one that must have each claim.
//! - `bench-several-servers loss KILLS REPLICAS`: how many tokens pass a second time after the primary
//!   was killed under load, when so many replicas must have a claim.
//!
//! The servers are the program `redis-server`, or that of the variable `HUMAN_CHECK_REDIS_SERVER`.

#![allow(clippy::unwrap_used, reason = "a failing step ends the benchmark")]

#[path = "../../../crates/human-check-redis/tests/redis/fleet.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod fleet;
#[path = "../../../crates/human-check-redis/tests/redis/server.rs"]
mod server;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use human_check_bench::{Failure, each, median, percentile, token_number};
use human_check_core::{Claimed, Provider, ReplayStore, Secret, Submission, TokenId};
use human_check_redis::{RedisClient, RedisReplayStore};

use fleet::{Cluster, Watched};

static ACME: Provider = Provider::new("acme", &["acme-response"]);

const TTL: Duration = Duration::from_secs(600);

/// Makes the tokens of each round different.
static ROUND: AtomicUsize = AtomicUsize::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["scale", claims, callers, rounds] => {
            scale(claims.parse()?, callers.parse()?, rounds.parse()?).await
        }
        ["wait", claims, rounds] => wait(claims.parse()?, rounds.parse()?).await,
        ["loss", kills, replicas] => loss(kills.parse()?, replicas.parse()?).await,
        _ => Err("see the head of several_servers.rs".into()),
    }
}

fn store(client: &RedisClient) -> RedisReplayStore {
    RedisReplayStore::new(client, &Secret::new("benchmark").unwrap())
}

/// A client that waits long, so that a busy machine causes no error.
fn patient(url: &Secret) -> Result<RedisClient, Failure> {
    Ok(RedisClient::new(url)?.with_response_timeout(Duration::from_secs(20)))
}

async fn claim(store: &RedisReplayStore, token: &Submission) -> Result<Claimed, Failure> {
    let token = TokenId::of_submission(token, &ACME);
    Ok(store.claim(token, TTL).await?)
}

fn tokens(count: usize) -> Vec<Submission> {
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let token = |n| token_number(round * 10_000_000 + n, 1_024);
    let tokens = (0..count).map(|n| Submission::new().with_token(&ACME, token(n)));
    tokens.collect()
}

/// Claims new tokens and returns how long that took.
async fn claim_all(
    store: &RedisReplayStore,
    count: usize,
    callers: usize,
) -> Result<Duration, Failure> {
    let tokens = tokens(count);
    each(count, callers, async |n| {
        let claimed = claim(store, &tokens[n]).await?;
        assert_eq!(claimed, Claimed::First, "a new token");
        Ok(())
    })
    .await
}

/// Claims a token until no error comes.
async fn until_claimed(store: &RedisReplayStore, token: &Submission) -> Claimed {
    loop {
        match claim(store, token).await {
            Ok(claimed) => return claimed,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Returns the processor time of a process since its start, in seconds.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program, in brackets, may hold spaces.
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

async fn scale(claims: usize, callers: usize, rounds: usize) -> Result<(), Failure> {
    let clusters = [1, 3, 6].map(|primaries| Cluster::start(primaries, false));
    let mut stores = Vec::new();
    for cluster in &clusters {
        stores.push(store(&patient(&cluster.url())?));
    }
    let mut seconds = [const { Vec::new() }; 3];
    let mut of_client = [0.0; 3];
    let mut of_servers = [0.0; 3];
    for round in 0..=rounds {
        for (at, cluster) in clusters.iter().enumerate() {
            let servers = || {
                let times = cluster.servers().map(|server| processor_time(server.pid()));
                times.sum::<f64>()
            };
            let (client_before, before) = (processor_time(std::process::id()), servers());
            let took = claim_all(&stores[at], claims, callers).await?;
            // The first round warms up.
            if round > 0 {
                seconds[at].push(took.as_secs_f64());
                of_client[at] += processor_time(std::process::id()) - client_before;
                of_servers[at] += servers() - before;
            }
        }
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| primaries | claims a second | us of the client a claim | us of the servers a claim |"
    )?;
    writeln!(out, "|--:|--:|--:|--:|")?;
    let per_claim = 1e6 / (claims * rounds) as f64;
    for (at, primaries) in [1, 3, 6].into_iter().enumerate() {
        let a_second = claims as f64 / median(seconds[at].clone());
        let (client, servers) = (of_client[at] * per_claim, of_servers[at] * per_claim);
        writeln!(
            out,
            "| {primaries} | {a_second:.0} | {client:.1} | {servers:.1} |"
        )?;
    }
    Ok(())
}

async fn wait(claims: usize, rounds: usize) -> Result<(), Failure> {
    let watched = Watched::start();
    let client = patient(&watched.url("", "primary=main"))?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| callers at once | claims a second | with a replica | median, us | with a replica, us |"
    )?;
    writeln!(out, "|--:|--:|--:|--:|--:|")?;
    for callers in [1, 16, 64, 256] {
        let mut a_second = [const { Vec::new() }; 2];
        let mut medians = [const { Vec::new() }; 2];
        for round in 0..=rounds {
            for replicas in [0, 1] {
                let store = store(&client).with_replicas(replicas);
                let tokens = tokens(claims);
                let times = Mutex::new(Vec::with_capacity(claims));
                let took = each(claims, callers, async |n| {
                    let start = Instant::now();
                    let claimed = claim(&store, &tokens[n]).await?;
                    assert_eq!(claimed, Claimed::First, "a new token");
                    times
                        .lock()
                        .unwrap()
                        .push(start.elapsed().as_secs_f64() * 1e6);
                    Ok(())
                })
                .await?;
                if round > 0 {
                    let at = replicas as usize;
                    a_second[at].push(claims as f64 / took.as_secs_f64());
                    medians[at].push(percentile(times.into_inner().unwrap(), 0.5));
                }
            }
        }
        let [without, with] = a_second.map(median);
        let [without_us, with_us] = medians.map(median);
        writeln!(
            out,
            "| {callers} | {without:.0} | {with:.0} | {without_us:.0} | {with_us:.0} |"
        )?;
    }
    Ok(())
}

async fn loss(kills: usize, replicas: u32) -> Result<(), Failure> {
    let (mut passed, mut again, mut failed) = (0, 0, 0);
    let mut silent = Vec::new();
    for _ in 0..kills {
        let mut watched = Watched::start();
        let url = watched.url("", "primary=main");
        let store = store(&RedisClient::new(&url)?).with_replicas(replicas);
        let tokens = tokens(200_000);
        let accepted = Mutex::new(Vec::new());
        let errors = AtomicUsize::new(0);
        let is_killed = AtomicBool::new(false);
        let next = AtomicUsize::new(0);
        let callers = (0..16).map(|_| async {
            while !is_killed.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                match claim(&store, &tokens[n]).await {
                    Ok(Claimed::First) => accepted.lock().unwrap().push(n),
                    Ok(_) => {}
                    Err(_) => {
                        errors.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        let callers = futures_util::future::join_all(callers);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            watched.primary.kill();
            is_killed.store(true, Ordering::Relaxed);
        };
        futures_util::future::join(callers, kill).await;
        let killed = Instant::now();
        let store = self::store(&RedisClient::new(&url)?);
        let first = until_claimed(&store, &self::tokens(1)[0]).await;
        assert_eq!(first, Claimed::First, "a new token");
        silent.push(killed.elapsed().as_secs_f64());
        let accepted = accepted.into_inner().unwrap();
        passed += accepted.len();
        failed += errors.into_inner();
        for n in accepted {
            again += usize::from(until_claimed(&store, &tokens[n]).await == Claimed::First);
        }
    }
    let silent = median(silent);
    writeln!(
        std::io::stdout(),
        "of {passed} tokens that passed before {kills} kills, {again} passed again; {failed} claims failed; no claim passed for {silent:.1} s (median)"
    )?;
    Ok(())
}
