//! Four processes share one real redis-server, and each token passes once over all of them.
//!
//! Each test starts its own binary again as the other processes.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

#[path = "redis/server.rs"]
mod server;

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{HumanCheck, ReplayGuard, Secret, Submission, Verdict};
use human_check_redis::{RedisClient, RedisReplayStore};
use human_check_testkit::{SCRIPTED, Scripted};
use server::Server;

/// The variable that makes a process a worker: its number, its response timeout in milliseconds,
/// and the URL of the server.
const WORKER: &str = "HUMAN_CHECK_REDIS_WORKER";

const PROCESSES: usize = 4;
const CLAIMS: usize = 2_500;
const TOKENS: usize = 1_000;

#[test]
fn each_of_a_thousand_tokens_wins_once_over_four_processes() {
    if claims_as_a_worker() {
        return;
    }
    let server = Server::start();
    let name = "each_of_a_thousand_tokens_wins_once_over_four_processes";
    // Four workers and the server share this machine, so the response timeout is long.
    let outcome = Outcome::of_workers(name, &server, 10_000, || ());
    assert_eq!(outcome.errors, 0, "a healthy server");
    assert_eq!(outcome.decided, PROCESSES * CLAIMS);
    assert_eq!(outcome.winners.len(), TOKENS);
    let wins: usize = outcome.winners.values().sum();
    assert_eq!(wins, TOKENS, "one winner a token");
}

#[test]
fn no_token_wins_twice_while_the_server_is_paused_and_connections_are_killed() {
    if claims_as_a_worker() {
        return;
    }
    let server = Server::start();
    // The pauses are longer than the response timeout, so the server does claims that timed out.
    let name = "no_token_wins_twice_while_the_server_is_paused_and_connections_are_killed";
    let outcome = Outcome::of_workers(name, &server, 10, || {
        server.run(&["CLIENT", "PAUSE", "15", "ALL"]);
        std::thread::sleep(Duration::from_millis(20));
        server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
        std::thread::sleep(Duration::from_millis(5));
    });
    for (token, wins) in &outcome.winners {
        assert_eq!(*wins, 1, "{token} won {wins} times");
    }
    assert_eq!(outcome.decided + outcome.errors, PROCESSES * CLAIMS);
    assert!(outcome.errors > 0, "the faults cause errors");
    assert!(!outcome.winners.is_empty(), "some passed all the same");
}

/// The sum of the workers' reports.
#[derive(Default)]
struct Outcome {
    winners: HashMap<String, usize>,
    decided: usize,
    errors: usize,
}

impl Outcome {
    /// Runs the workers, and calls `fault` repeatedly until they end.
    fn of_workers(test: &str, server: &Server, timeout_ms: u64, fault: impl Fn()) -> Self {
        let workers = (0..PROCESSES).map(|number| {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(
                    WORKER,
                    format!("{number} {timeout_ms} {}", server.url().expose()),
                )
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::spawn(move || child.wait_with_output().unwrap())
        });
        let workers: Vec<_> = workers.collect();
        let deadline = Instant::now() + Duration::from_secs(120);
        while workers.iter().any(|worker| !worker.is_finished()) {
            assert!(Instant::now() < deadline, "the workers do not end");
            fault();
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut outcome = Self::default();
        for worker in workers {
            let output = worker.join().unwrap();
            assert!(output.status.success(), "a worker failed");
            outcome.add(&String::from_utf8(output.stdout).unwrap());
        }
        outcome
    }

    fn add(&mut self, report: &str) {
        for line in report
            .lines()
            .filter_map(|line| line.strip_prefix("worker: "))
        {
            match line.split_once(' ') {
                Some(("won", token)) => *self.winners.entry(token.to_owned()).or_default() += 1,
                Some(("decided", count)) => self.decided += count.parse::<usize>().unwrap(),
                Some(("errors", count)) => self.errors += count.parse::<usize>().unwrap(),
                _ => panic!("{line}"),
            }
        }
    }
}

/// Does the work of a worker when this process is one. Returns whether it is one.
fn claims_as_a_worker() -> bool {
    let Ok(instructions) = std::env::var(WORKER) else {
        return false;
    };
    let [number, timeout_ms, url] = instructions.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{instructions}");
    };
    let timeout = Duration::from_millis(timeout_ms.parse().unwrap());
    let server = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    let server = server.with_response_timeout(timeout);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(number.parse().unwrap(), &server));
    true
}

async fn work(number: u64, server: &RedisClient) {
    let store = RedisReplayStore::new(server, &Secret::new("shared").unwrap());
    let guard = Arc::new(ReplayGuard::new(Scripted::human(), store));
    let mut tokens: Vec<_> = (0..CLAIMS)
        .map(|n| format!("token-{}", n % TOKENS))
        .collect();
    fastrand::Rng::with_seed(number).shuffle(&mut tokens);
    let tokens = Arc::new(std::sync::Mutex::new(tokens));
    let callers = (0..32).map(|_| tokio::spawn(call(Arc::clone(&guard), Arc::clone(&tokens))));
    let (mut report, mut decided, mut errors) = (String::new(), 0, 0);
    for caller in callers.collect::<Vec<_>>() {
        let (won, verdicts, failed) = caller.await.unwrap();
        for token in won {
            report.push_str(&format!("worker: won {token}\n"));
        }
        decided += verdicts;
        errors += failed;
    }
    report.push_str(&format!(
        "worker: decided {decided}\nworker: errors {errors}\n"
    ));
    // Written in one call, and on a new line after the test harness's own.
    std::io::stdout()
        .write_all(format!("\n{report}").as_bytes())
        .unwrap();
}

async fn call(
    guard: Arc<ReplayGuard<Scripted, RedisReplayStore>>,
    tokens: Arc<std::sync::Mutex<Vec<String>>>,
) -> (Vec<String>, usize, usize) {
    let (mut won, mut decided, mut errors) = (Vec::new(), 0, 0);
    loop {
        let Some(token) = tokens.lock().unwrap().pop() else {
            return (won, decided, errors);
        };
        let submission = Submission::new().with_token(&SCRIPTED, token.as_str());
        match guard.check(&submission).await {
            Ok(Verdict::Human(_)) => {
                won.push(token);
                decided += 1;
            }
            Ok(Verdict::NotHuman(_)) => decided += 1,
            Err(_) => {
                errors += 1;
                // Waits like a visitor who tries again later.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
