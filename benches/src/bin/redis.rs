//! Claims a second through the replay store in Redis, compared with a bare loop of the same client.
//!
//! `bench-redis URL CLAIMS CALLERS ROUNDS LENGTH` prints three medians: the claims a second of the
//! bare loop, those of the store, and the ratio of the store to the bare loop. Both use two
//! connections. The bare loop has its keys ready before the clock starts, and the store makes its
//! keys from tokens of LENGTH bytes. Their rounds alternate, in both orders, because the speed of a
//! machine changes over time.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use human_check_bench::{Failure, each, median, token_number};
use human_check_core::{Claimed, Provider, ReplayStore, Secret, Submission, TokenId};
use human_check_redis::{RedisClient, RedisReplayStore};
use redis::aio::MultiplexedConnection;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

const TTL: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let (claims, callers) = (argument(2).parse()?, argument(3).parse()?);
    let (rounds, length): (usize, usize) = (argument(4).parse()?, argument(5).parse()?);
    let client = redis::Client::open(argument(1))?;
    let connections = [
        client.get_multiplexed_async_connection().await?,
        client.get_multiplexed_async_connection().await?,
    ];
    let server = RedisClient::new(&Secret::new(argument(1))?)?;
    let store = RedisReplayStore::new(&server, &Secret::new("benchmark")?);
    let (mut bare_seconds, mut store_seconds) = (Vec::new(), Vec::new());
    // The start time makes the keys different from those of an earlier run.
    let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    for round in 0..=rounds {
        let run = format!("{started:016x}-{round:03}");
        // As long as the keys of the store.
        let keys: Vec<_> = (0..claims)
            .map(|n| format!("bare-bench:{run}-{n:018}"))
            .collect();
        let token = |n: usize| {
            let start = format!("token-{run}-{n}-");
            let rest = length.saturating_sub(start.len());
            Submission::new().with_token(&ACME, start + &token_number(n, rest.max(16)))
        };
        let submissions: Vec<_> = (0..claims).map(token).collect();
        let loop_once = each(claims, callers, |n| bare(&connections, &keys[n], n));
        let store_once = each(claims, callers, |n| claim(&store, &submissions[n]));
        let (bare, store_took) = if round % 2 == 0 {
            let bare = loop_once.await?;
            (bare, store_once.await?)
        } else {
            let store = store_once.await?;
            (loop_once.await?, store)
        };
        // The first round warms up.
        if round > 0 {
            bare_seconds.push(bare.as_secs_f64());
            store_seconds.push(store_took.as_secs_f64());
        }
    }
    let ratios = bare_seconds.iter().zip(&store_seconds);
    let ratio = median(ratios.map(|(bare, store)| bare / store).collect());
    let bare = claims as f64 / median(bare_seconds);
    let store = claims as f64 / median(store_seconds);
    writeln!(std::io::stdout(), "{bare:.0} {store:.0} {ratio:.3}")?;
    Ok(())
}

async fn bare(
    connections: &[MultiplexedConnection; 2],
    key: &str,
    n: usize,
) -> Result<(), Failure> {
    let mut connection = connections[n % 2].clone();
    let mut set = redis::cmd("SET");
    set.arg(key).arg("1").arg("NX").arg("PX").arg(60_000);
    let reply: Option<String> = set.query_async(&mut connection).await?;
    assert!(reply.is_some(), "a new key");
    Ok(())
}

async fn claim(store: &RedisReplayStore, submission: &Submission) -> Result<(), Failure> {
    let claimed = store
        .claim(TokenId::of_submission(submission, &ACME), TTL)
        .await?;
    assert_eq!(claimed, Claimed::First, "a new token");
    Ok(())
}
