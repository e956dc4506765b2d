use super::*;
use crate::server::Server;
use human_check_core::{ErrorKind, Provider};
use std::time::Instant;

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let mut server = Server::start();
    let store = replay_store(&server.client());
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    server.kill();
    for _ in 0..4 {
        assert_eq!(reason(&store, "b").await, "store-unreachable");
    }
    server.start_again();
    until(async || claim(&store, "b").await.is_ok()).await;
    assert_eq!(claim_settled(&store, "b").await, Claimed::Duplicate);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_an_error_at_once_and_used_later() {
    let mut server = Server::start();
    server.kill();
    let store = replay_store(&server.client());
    let start = Instant::now();
    assert_eq!(reason(&store, "a").await, "store-unreachable");
    assert!(start.elapsed() < Duration::from_secs(1));
    server.start_again();
    until(async || claim(&store, "a").await.is_ok()).await;
}

#[tokio::test]
async fn a_paused_server_is_an_error_in_time_and_the_token_passes_at_most_once_later() {
    let server = Server::start();
    let limit = Duration::from_millis(200);
    let client = server.client().with_response_timeout(limit);
    let store = replay_store(&client.with_connections(1));
    assert_eq!(claim(&store, "warm").await.unwrap(), Claimed::First);
    server.run(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let start = Instant::now();
    assert_eq!(reason(&store, "a").await, "store-timeout");
    let took = start.elapsed();
    assert!(
        took >= limit && took < limit + Duration::from_millis(300),
        "{took:?}"
    );
    // The claim without a reply was done or not. If it was done, no later claim is the first.
    let mut firsts = 0;
    until(async || {
        match claim(&store, "a").await {
            Ok(Claimed::First) => firsts += 1,
            Ok(Claimed::Duplicate) => return true,
            Err(_) => {}
        }
        false
    })
    .await;
    assert!(firsts <= 1, "First {firsts} times");
}

#[tokio::test]
async fn callers_who_give_up_early_do_not_keep_a_dead_connection() {
    let server = Server::start();
    let client = server.client().with_connections(1);
    let store = replay_store(&client.with_response_timeout(Duration::from_millis(100)));
    let _ = claim(&store, "warm").await.unwrap();
    let before = connections(&server);
    server.run(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let early = tokio::time::timeout(Duration::from_millis(20), claim(&store, "a")).await;
    assert!(early.is_err());
    // Longer than the response timeout, after which the silent connection is replaced.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let _ = claim(&store, "b").await;
    // The command to pause took one connection, and each reading of the count takes one.
    let mut own = 1;
    until(async || {
        own += 1;
        connections(&server) - before == own + 1
    })
    .await;
}

/// Returns how many connections the server has accepted, with the one of this call.
fn connections(server: &Server) -> u64 {
    let redis::Value::BulkString(stats) = server.run(&["INFO", "stats"]) else {
        panic!("no text");
    };
    let stats = String::from_utf8(stats).unwrap();
    let mut lines = stats.lines();
    let count = lines.find_map(|line| line.strip_prefix("total_connections_received:"));
    count.unwrap().parse().unwrap()
}

#[tokio::test]
async fn killed_connections_are_replaced() {
    let server = Server::start();
    let store = replay_store(&server.client());
    for token in 0..20 {
        let token = format!("token-{token}");
        server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
        until(async || claim(&store, &token).await.is_ok()).await;
        assert_eq!(claim_settled(&store, &token).await, Claimed::Duplicate);
    }
}

#[tokio::test]
async fn a_full_server_refuses_and_forgets_nothing() {
    let server = Server::with(&["maxmemory 3mb", "maxmemory-policy noeviction"]);
    let store = replay_store(&server.client());
    assert_eq!(claim(&store, "early").await.unwrap(), Claimed::First);
    server.run(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(reason(&store, "late").await, "store-full");
    // A repeat gets the same error: the server refuses commands that may need memory before it
    // reads the key.
    assert_eq!(reason(&store, "early").await, "store-full");
    server.run(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(claim(&store, "early").await.unwrap(), Claimed::Duplicate);
    assert_eq!(claim(&store, "late").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn a_replica_takes_no_claims() {
    let (primary, replica) = (Server::start(), Server::start());
    let store = replay_store(&replica.client());
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    replica.run(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    until(async || reason(&store, "b").await == "store-readonly").await;
    replica.run(&["REPLICAOF", "NO", "ONE"]);
    until(async || claim(&store, "b").await.is_ok()).await;
}

#[tokio::test]
async fn a_wrong_password_is_an_error_and_shown_nowhere() {
    let server = Server::with(&["requirepass correct-horse"]);
    let at = |login: &str| {
        let url = format!("redis://{login}127.0.0.1:{}", server.port);
        RedisClient::new(&Secret::new(url).unwrap()).unwrap()
    };
    let right = replay_store(&at(":correct-horse@"));
    assert_eq!(claim(&right, "a").await.unwrap(), Claimed::First);
    for login in [":hunter2@", "ada:hunter2@", ""] {
        let store = replay_store(&at(login));
        let error = claim(&store, "b").await.unwrap_err();
        assert_eq!(error.reason(), "store-auth", "{login}");
        let cause = std::error::Error::source(&error).unwrap();
        let shown = format!("{error} {error:?} {cause} {cause:?} {store:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
        // No route may fail open on a wrong password.
        static ACME: Provider = Provider::new("acme", &[]);
        let error = error.into_check_error(&ACME);
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{login}");
    }
}

#[tokio::test]
async fn more_commands_than_allowed_are_refused_at_once() {
    let server = Server::start();
    let store = replay_store(&server.client().with_max_in_flight(3));
    let _ = claim(&store, "warm").await.unwrap();
    server.run(&["CLIENT", "PAUSE", "60000", "ALL"]);
    let waiting = (0..3).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { reason(&store, &n.to_string()).await })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::task::yield_now().await;
    let start = Instant::now();
    assert_eq!(reason(&store, "more").await, "store-busy");
    assert!(start.elapsed() < Duration::from_millis(100));
    for claim in waiting {
        assert!(claim.await.unwrap().starts_with("store-"));
    }
}

#[tokio::test]
async fn a_server_that_closes_each_connection_gets_few() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let url = Secret::new(format!("redis://127.0.0.1:{port}")).unwrap();
    let store = replay_store(&RedisClient::new(&url).unwrap());
    for n in 0..2_000 {
        assert_eq!(reason(&store, &n.to_string()).await, "store-unreachable");
    }
    // Two connections, each at most every 100 ms. Two thousand claims take less than two seconds.
    let accepted = accepted.load(std::sync::atomic::Ordering::Relaxed);
    assert!(accepted < 100, "{accepted} connections");
}
