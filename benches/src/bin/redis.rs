//! Claims a second through the store in Redis, against a bare loop with the same client.
//!
//! `bench-redis URL CLAIMS CALLERS ROUNDS`. Both use two connections and fresh keys. Rounds take
//! turns, since a machine is not equally fast all the time. Prints the medians of bare and ours a
//! second, and the median over the rounds of ours as a part of bare.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use human_check_core::{Claimed, Provider, ReplayStore, Secret, Submission, TokenId};
use human_check_redis::{RedisReplayStore, RedisServer};
use redis::aio::MultiplexedConnection;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

const LIFE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let (claims, callers) = (argument(2).parse()?, argument(3).parse()?);
    let rounds: usize = argument(4).parse()?;
    let client = redis::Client::open(argument(1))?;
    let connections = [
        client.get_multiplexed_async_connection().await?,
        client.get_multiplexed_async_connection().await?,
    ];
    let server = RedisServer::new(&Secret::new(argument(1))?)?;
    let store = RedisReplayStore::new(&server, &Secret::new("benchmark")?);
    let (mut bare_took, mut ours_took) = (Vec::new(), Vec::new());
    // Keys of an earlier run may still be there.
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    for round in 0..=rounds {
        let run = format!("{begun:016x}-{round:03}");
        let bare = each(claims, callers, |n| bare(&connections, &run, n)).await?;
        // They exist before there is anything to claim.
        let token = |n: usize| Submission::new().with_token(&ACME, format!("token-{run}-{n}"));
        let submissions: Vec<_> = (0..claims).map(token).collect();
        let ours = each(claims, callers, |n| ours(&store, &submissions[n])).await?;
        // The first is for warming up.
        if round > 0 {
            bare_took.push(bare.as_secs_f64());
            ours_took.push(ours.as_secs_f64());
        }
    }
    let ratios = bare_took.iter().zip(&ours_took);
    let ratio = median(ratios.map(|(bare, ours)| bare / ours).collect());
    let (bare, ours) = (median(bare_took), median(ours_took));
    let (bare, ours) = (claims as f64 / bare, claims as f64 / ours);
    writeln!(std::io::stdout(), "{bare:.0} {ours:.0} {ratio:.3}")?;
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs `once` for each number below `claims`, so many at a time.
async fn each<F: Future<Output = Result<(), Failure>>>(
    claims: usize,
    callers: usize,
    once: impl Fn(usize) -> F,
) -> Result<Duration, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let callers = (0..callers).map(|_| async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= claims {
                return Ok::<(), Failure>(());
            }
            once(n).await?;
        }
    });
    futures_util::future::try_join_all(callers).await?;
    Ok(start.elapsed())
}

async fn bare(
    connections: &[MultiplexedConnection; 2],
    run: &str,
    n: usize,
) -> Result<(), Failure> {
    let mut connection = connections[n % 2].clone();
    // As long as ours are.
    let key = format!("bare-bench:{run}-{n:018}");
    let mut set = redis::cmd("SET");
    set.arg(key).arg("1").arg("NX").arg("PX").arg(60_000);
    let reply: Option<String> = set.query_async(&mut connection).await?;
    assert!(reply.is_some(), "a fresh key");
    Ok(())
}

async fn ours(store: &RedisReplayStore, submission: &Submission) -> Result<(), Failure> {
    let claimed = store
        .claim(TokenId::of_submission(submission, &ACME), LIFE)
        .await?;
    assert_eq!(claimed, Claimed::First, "a fresh token");
    Ok(())
}
