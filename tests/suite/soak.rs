//! Memory, file descriptors and tasks do not grow during long runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use human_check_core::{
    Capabilities, CheckError, CircuitBreakerPolicy, HumanCheck, HumanCheckExt, MemoryReplayStore,
    Provider, Reason, Submission, Verdict,
};
use human_check_http::{Endpoint, HyperTransport, Limits, ProviderClient};
use human_check_testkit::SCRIPTED;
use human_check_turnstile::{TURNSTILE, Turnstile};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A check that refuses every token and keeps none.
#[derive(Debug)]
struct Refusing;

#[human_check_core::adapter::async_trait]
impl HumanCheck for Refusing {
    fn providers(&self) -> &[Provider] {
        std::slice::from_ref(&SCRIPTED)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::nothing()
    }

    async fn check(&self, _: &Submission) -> Result<Verdict, CheckError> {
        Ok(Verdict::refused(Reason::Invalid))
    }
}

/// Checks this many invalid tokens and asserts that the memory does not grow with them.
async fn junk(tokens: usize) {
    let check = Refusing
        .concurrency_limit(100)
        .circuit_breaker(CircuitBreakerPolicy::default())
        .unwrap()
        .replay_guard(MemoryReplayStore::new(1_000));
    let mut before = 0;
    for n in 0..tokens {
        if n == tokens / 10 {
            before = resident();
        }
        let submission = Submission::new().with_token(&SCRIPTED, format!("junk-{n}"));
        let verdict = check.check(&submission).await.unwrap();
        assert_eq!(verdict.refusal().unwrap().reason(), Reason::Invalid);
    }
    // 16 bytes for each token if the store kept it. Other tests of this process use memory, too.
    let grown = resident().saturating_sub(before);
    let kept = tokens * 9 / 10 * 16;
    assert!(grown < kept.max(200 << 20), "{grown} bytes");
}

#[tokio::test]
async fn junk_tokens_leave_nothing_behind() {
    junk(100_000).await;
}

#[tokio::test]
#[ignore = "takes minutes in a debug build; run it alone, in release"]
async fn ten_million_junk_tokens_leave_nothing_behind() {
    let before = resident();
    junk(10_000_000).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

/// Starts a provider that accepts every token and fails in one call of twenty. It keeps no tokens.
async fn provider() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 8_192];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let reply = br#"{"success":true,"error-codes":[],"challenge_ts":"2026-01-01T00:00:00Z","hostname":"www.example.com"}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        reply.len()
                    );
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    let done = match number % 100 {
                        7 => {
                            stream
                                .write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
                                .await
                        }
                        27 => stream
                            .write_all(head.as_bytes())
                            .await
                            .and(Err(std::io::ErrorKind::Other.into())),
                        47 => Err(std::io::ErrorKind::Other.into()),
                        67 => {
                            stream
                                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                                .await
                        }
                        87 => {
                            tokio::time::sleep(Duration::from_millis(120)).await;
                            Err(std::io::ErrorKind::Other.into())
                        }
                        _ => match stream.write_all(head.as_bytes()).await {
                            Ok(()) => stream.write_all(reply).await,
                            failed => failed,
                        },
                    };
                    if done.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap()
}

/// Runs checks for this time, on a runtime of its own so that its tasks can be counted.
fn soak(length: Duration) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut limits = Limits::default();
        limits.attempt_timeout = Duration::from_millis(100);
        limits.total_timeout = Duration::from_millis(200);
        let client = ProviderClient::new(HyperTransport::new().unwrap()).with_limits(limits);
        let secret = human_check_core::Secret::new("0x4AAAAAAASoak").unwrap();
        let client = client.with_base_url(&TURNSTILE, provider().await.at_path("/"));
        let turnstile = Turnstile::new(&client, secret).unwrap();
        let stack = turnstile
            .concurrency_limit(64)
            .circuit_breaker(CircuitBreakerPolicy::default())
            .unwrap()
            .timeout(Duration::from_secs(1))
            .replay_guard(MemoryReplayStore::new(10_000_000));
        let stack = Arc::new(stack);
        let start = std::time::Instant::now();
        let (mut checks, mut passed, mut measured) = (0_u64, 0_u64, None);
        while start.elapsed() < length {
            let mut calls = tokio::task::JoinSet::new();
            for n in 0..32 {
                let stack = Arc::clone(&stack);
                let token = format!("soak-{checks}-{n}");
                calls.spawn(async move {
                    let submission = Submission::new().with_token(&TURNSTILE, token);
                    stack
                        .check(&submission)
                        .await
                        .is_ok_and(|verdict| verdict.is_human())
                });
            }
            passed += calls
                .join_all()
                .await
                .into_iter()
                .filter(|human| *human)
                .count() as u64;
            checks += 32;
            if measured.is_none() && start.elapsed() > length / 4 {
                let tasks = tokio::runtime::Handle::current()
                    .metrics()
                    .num_alive_tasks();
                measured = Some((resident(), descriptors(), tasks, passed));
            }
        }
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let (memory, open, alive, before) = measured.unwrap();
        assert!(passed * 10 > checks * 8, "{passed} of {checks} passed");
        // The store keeps claims for ten minutes, with at most 72 bytes each.
        let claims = (passed - before) as usize * 72;
        let grown = resident().saturating_sub(memory);
        assert!(
            grown < claims + (200 << 20),
            "{grown} bytes for {claims} of claims"
        );
        assert!(
            descriptors() < open + 200,
            "{} descriptors, {open} before",
            descriptors()
        );
        assert!(tasks < alive + 200, "{tasks} tasks, {alive} before");
    });
}

#[test]
fn a_short_soak_with_faults_stays_flat() {
    soak(Duration::from_secs(8));
}

#[test]
#[ignore = "two minutes"]
fn a_long_soak_with_faults_stays_flat() {
    soak(Duration::from_secs(120));
}
