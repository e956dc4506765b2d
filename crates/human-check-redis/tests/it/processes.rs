//! Four processes, one server: what a load balancer makes of an application.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use human_check::{HumanCheck, HumanCheckExt, Secret, Submission};
use human_check_redis::{RedisServer, RedisSpent};
use human_check_testkit::{SCRIPTED, Scripted};

use crate::redis_server::{Server, digest_secret};

const PORT: &str = "HUMAN_CHECK_TEST_REDIS_PORT";
const SEED: &str = "HUMAN_CHECK_TEST_SEED";
const TOKENS: u64 = 1_000;
const SUBMITS: u64 = 2_500;

/// One of the processes, when this file is run by the tests below. Prints the tokens that it let pass.
#[test]
#[allow(clippy::print_stdout, reason = "the parent reads it")]
fn one_of_four_processes() {
    let (Ok(port), Ok(seed)) = (std::env::var(PORT), std::env::var(SEED)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let url = Secret::new(format!("redis://127.0.0.1:{port}")).unwrap();
        let server = RedisServer::with_limits(&url, Duration::from_secs(5), 4_096).unwrap();
        let store = RedisSpent::new(server, &digest_secret());
        let check = std::sync::Arc::new(Scripted::human().single_use(store));
        let mut submits = tokio::task::JoinSet::new();
        let seed: u64 = seed.parse().unwrap();
        for n in 0..SUBMITS {
            // Every token several times, in another order in each process.
            let token = (n * 7 + seed * 131) % TOKENS;
            let check = std::sync::Arc::clone(&check);
            submits.spawn(async move {
                let submission = Submission::new().with_token(&SCRIPTED, format!("token-{token}"));
                let verdict = check.check(&submission).await;
                verdict
                    .is_ok_and(|verdict| verdict.is_human())
                    .then_some(token)
            });
            if submits.len() >= 64
                && let Some(Ok(Some(token))) = submits.join_next().await
            {
                println!("passed {token}");
            }
        }
        while let Some(done) = submits.join_next().await {
            if let Ok(Some(token)) = done {
                println!("passed {token}");
            }
        }
    });
}

fn start(server: &Server) -> Vec<std::process::Child> {
    let myself = std::env::current_exe().unwrap();
    let child = |seed: u64| {
        Command::new(&myself)
            .args(["--exact", "processes::one_of_four_processes", "--nocapture"])
            .env(PORT, server.port.to_string())
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    (0..4).map(child).collect()
}

/// How often each token passed, over all processes.
fn passes(children: Vec<std::process::Child>) -> HashMap<String, usize> {
    let mut passes = HashMap::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness writes its own words in front of the first line.
        for token in text.lines().filter_map(|line| line.split_once("passed ")) {
            if token.1.chars().all(|c| c.is_ascii_digit()) {
                *passes.entry(token.1.to_owned()).or_default() += 1;
            }
        }
    }
    passes
}

#[test]
fn of_ten_thousand_submits_in_four_processes_each_of_a_thousand_tokens_passes_once() {
    let server = Server::start(&[]);
    let passes = passes(start(&server));
    assert_eq!(passes.len(), TOKENS as usize);
    assert!(passes.values().all(|times| *times == 1));
}

#[test]
fn pauses_and_killed_connections_never_let_a_token_pass_twice() {
    let server = Server::start(&[]);
    let mut children = start(&server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        while children
            .iter_mut()
            .any(|child| matches!(child.try_wait(), Ok(None)))
        {
            server
                .tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
                .await;
            server.tell(&["CLIENT", "PAUSE", "20", "ALL"]).await;
        }
    });
    let passes = passes(children);
    assert!(!passes.is_empty(), "nobody passed at all");
    assert!(passes.values().all(|times| *times == 1));
}

#[test]
fn a_server_that_stops_in_the_middle_lets_no_token_pass_twice() {
    let mut server = Server::start(&[]);
    let children = start(&server);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let claimed = || runtime.block_on(server.tell(&["DBSIZE"]));
    while !matches!(claimed(), redis::Value::Int(100..)) {}
    server.stop();
    let passes = passes(children);
    assert!(passes.values().all(|times| *times == 1));
}
