//! Claims a second through the replay store on PostgreSQL, compared with a bare loop of the same client.
//!
//! `bench-postgres CLAIMS ROUNDS` starts a server, and prints for 1, 16 and 64 callers the medians of
//! the bare loop, of the store, and of the ratio of the two, and at the end the bytes of a claim. Both
//! use five connections, and their rounds alternate.

#![allow(clippy::unwrap_used, reason = "a failing step ends the benchmark")]

#[path = "../../../crates/human-check-postgres/tests/postgres/server.rs"]
mod server;

use std::io::Write;

use human_check_bench::{Failure, each, median, token_number};
use human_check_core::{Claimed, Provider, ReplayStore, Submission, TokenId};
use server::Server;
use sqlx::postgres::PgPoolOptions;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

const TTL: std::time::Duration = std::time::Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()?;
    let [claims, rounds] = arguments[..] else {
        return Err("see the head of postgres.rs".into());
    };
    let server = Server::start();
    let store = server.store_with_table().await.with_timeout(TTL);
    server
        .run("CREATE TABLE bare (LIKE human_check_claims INCLUDING ALL)")
        .await;
    let pool = PgPoolOptions::new()
        .max_connections(5)
        .test_before_acquire(false);
    let pool = pool.connect(server.url().expose()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "| callers at once | bare | human-check | x |")?;
    writeln!(out, "|--:|--:|--:|--:|")?;
    let (mut number, mut all) = (0, 0);
    for callers in [1, 16, 64] {
        let (mut bare, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            number += claims;
            let tokens = (0..claims).map(|n| token_number(number + n, 1_024));
            let tokens: Vec<_> = tokens
                .map(|token| Submission::new().with_token(&ACME, token))
                .collect();
            let of_bare = each(claims, callers, async |n| {
                const INSERT: &str = "INSERT INTO bare (digest, expires_at) VALUES ($1, now() + make_interval(secs => $2)) ON CONFLICT DO NOTHING";
                let key = ((number + n) as u128).to_be_bytes();
                let insert = sqlx::query(INSERT).bind(&key[..]).bind(600.0);
                assert_eq!(insert.execute(&pool).await?.rows_affected(), 1);
                Ok(())
            })
            .await?
            .as_secs_f64();
            let of_store = each(claims, callers, async |n| {
                let claimed = store
                    .claim(TokenId::of_submission(&tokens[n], &ACME), TTL)
                    .await?;
                assert_eq!(claimed, Claimed::First, "a new token");
                Ok(())
            })
            .await?
            .as_secs_f64();
            all += claims;
            // The first round warms up.
            if round > 0 {
                bare.push(claims as f64 / of_bare);
                ours.push(claims as f64 / of_store);
                ratios.push(of_bare / of_store);
            }
        }
        let (bare, ours, ratio) = (median(bare), median(ours), median(ratios));
        writeln!(out, "| {callers} | {bare:.0} | {ours:.0} | {ratio:.3} |")?;
    }
    let bytes = store.report().await?.table_bytes.unwrap_or_default();
    writeln!(out, "{} bytes a claim, of {all}", bytes / all as u64)?;
    Ok(())
}
