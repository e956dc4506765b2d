use super::*;
use crate::server::{PASSWORD, Server};
use human_check_core::{ErrorKind, Provider};

static ACME: Provider = Provider::new("acme", &[]);

#[tokio::test]
async fn a_server_that_fails_keeps_each_claim_and_is_used_again() {
    let server = Server::start();
    let store = server.store_with_table().await;
    for token in (0..50).map(|n| n.to_string()) {
        assert_eq!(claim(&store, &token).await.unwrap(), Claimed::First);
    }
    server.kill();
    let start = Instant::now();
    let down = reason(&store, "down").await;
    assert_eq!(down, "store-unreachable");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    server.launch();
    // Each connection of before fails once.
    for token in (0..50).map(|n| n.to_string()) {
        assert_eq!(claim_settled(&store, &token).await, Claimed::Duplicate);
    }
}

#[tokio::test]
async fn a_claim_that_gets_no_reply_is_an_error_in_time_and_passes_at_most_once_later() {
    let server = Server::start();
    let store = server
        .store_with_table()
        .await
        .with_timeout(Duration::from_millis(300));
    assert_eq!(claim(&store, "warm").await.unwrap(), Claimed::First);
    let pool = server.pool().await;
    let lock = locked(&pool).await;
    let start = Instant::now();
    assert_eq!(reason(&store, "a").await, "store-timeout");
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(1),
        "{took:?}"
    );
    lock.rollback().await.unwrap();
    let mut firsts = 0;
    until(async || match claim(&store, "a").await {
        Ok(Claimed::First) => {
            firsts += 1;
            false
        }
        Ok(Claimed::Duplicate) => true,
        Err(_) => false,
    })
    .await;
    assert!(firsts <= 1, "First {firsts} times");
}

#[tokio::test]
async fn callers_who_give_up_leave_no_connection_in_use() {
    let server = Server::start();
    let store = server.store_with_table().await.with_max_connections(1);
    assert_eq!(claim(&store, "warm").await.unwrap(), Claimed::First);
    let pool = server.pool().await;
    let lock = locked(&pool).await;
    for _ in 0..5 {
        let early = tokio::time::timeout(Duration::from_millis(20), claim(&store, "a")).await;
        assert!(early.is_err());
    }
    lock.rollback().await.unwrap();
    until(async || claim(&store, "b").await.is_ok()).await;
}

#[tokio::test]
async fn a_claim_that_gets_no_connection_is_an_error_of_its_own() {
    let server = Server::start();
    let store = server.store_with_table().await.with_max_connections(1);
    let pool = server.pool().await;
    let lock = locked(&pool).await;
    // A deletion may take longer than a claim.
    let holds = tokio::spawn({
        let store = store.clone();
        async move { store.delete_expired().await }
    });
    until(async || server_waits(&pool).await).await;
    assert_eq!(reason(&store, "waits").await, "store-busy");
    lock.rollback().await.unwrap();
    assert_eq!(holds.await.unwrap().unwrap(), 0);
    assert_eq!(claim(&store, "waits").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn a_deletion_that_gets_no_reply_ends_and_is_tried_again() {
    let server = Server::start();
    let store = server.store_with_table().await;
    let store = store.with_max_connections(1);
    let store = store.with_timeout(Duration::from_millis(100));
    let pool = server.pool().await;
    let lock = locked(&pool).await;
    assert_eq!(
        store.delete_expired().await.unwrap_err().reason(),
        "store-timeout"
    );
    lock.rollback().await.unwrap();
    // Its connection is not kept.
    until(async || claim(&store, "a").await.is_ok()).await;
    assert_eq!(store.delete_expired().await.unwrap(), 0);
}

#[tokio::test]
async fn a_table_without_a_key_takes_no_claims() {
    let server = Server::start();
    let store = server.store_with_table().await;
    server
        .run("ALTER TABLE human_check_claims DROP CONSTRAINT human_check_claims_pkey")
        .await;
    let error = claim(&store, "a").await.unwrap_err();
    assert_eq!(error.reason(), "store-table");
    assert_eq!(
        error.into_check_error(&ACME).kind(),
        ErrorKind::Misconfigured
    );
}

/// Locks the table until the transaction ends, so that no statement on it gets a reply.
async fn locked(pool: &sqlx::PgPool) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = pool.begin().await.unwrap();
    let locking = sqlx::query("LOCK TABLE human_check_claims");
    locking.execute(&mut *lock).await.unwrap();
    lock
}

/// Returns whether a statement waits for a lock.
async fn server_waits(pool: &sqlx::PgPool) -> bool {
    let ask = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    sqlx::query(ask)
        .fetch_optional(pool)
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn a_standby_takes_no_claims_until_it_is_the_primary() {
    let primary = Server::start();
    let store = primary.store_with_table().await;
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    let standby = Server::standby_of(&primary);
    let there = standby.store();
    assert_eq!(reason(&there, "b").await, "store-readonly");
    standby.promote();
    assert_eq!(claim_settled(&there, "b").await, Claimed::First);
    assert_eq!(claim_settled(&there, "a").await, Claimed::Duplicate);
}

#[tokio::test]
async fn a_wrong_login_is_an_error_of_the_operator_and_shown_nowhere() {
    let server = Server::start();
    let _ = server.store_with_table().await;
    server.run("CREATE USER guest PASSWORD 'guest'").await;
    for (user, password, database) in [
        ("postgres", "hunter2", "postgres"),
        ("hunter2", "hunter2", "postgres"),
        ("postgres", PASSWORD, "missing"),
        // It may log in and not use the table.
        ("guest", "guest", "postgres"),
    ] {
        let url = server.url_as(user, password, database);
        let store = PostgresReplayStore::new(&url, &secret()).unwrap();
        let error = claim(&store, "b").await.unwrap_err();
        assert_eq!(error.reason(), "store-auth", "{user} {database}");
        let cause = std::error::Error::source(&error).unwrap();
        let shown = format!("{error} {error:?} {cause} {cause:?} {store:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains(PASSWORD),
            "{shown}"
        );
        // No route may fail open on it.
        assert_eq!(
            error.into_check_error(&ACME).kind(),
            ErrorKind::Misconfigured
        );
    }
}

#[tokio::test]
async fn a_missing_table_is_an_error_of_the_operator() {
    let server = Server::start();
    let store = server.store();
    let error = claim(&store, "a").await.unwrap_err();
    assert_eq!(error.reason(), "store-table");
    assert_eq!(
        error.into_check_error(&ACME).kind(),
        ErrorKind::Misconfigured
    );
    store.create_table().await.unwrap();
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn an_invalid_url_is_refused_and_shown_nowhere() {
    for url in [
        "hunter2",
        "redis://:hunter2@localhost",
        "postgres://a:hunter2@localhost:port/db",
        // Passwords that are not encoded, and would be shown as a host, a port or a database.
        "postgres://a:12/hunter2@localhost/db",
        "postgres://a:12?hunter2@localhost/db",
        "postgres://a:12#hunter2@localhost/db",
        "postgres://a:b@hunter2/c@localhost/db",
        // The client ignores what it does not know.
        "postgres://a:hunter2@localhost/db?sslmod=verify-full",
    ] {
        let error = PostgresReplayStore::new(&Secret::new(url).unwrap(), &secret()).unwrap_err();
        assert_eq!(error.field(), "url", "{url}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let url = Secret::new("postgres://a:b@127.0.0.1:1/db").unwrap();
    let store = PostgresReplayStore::new(&url, &secret()).unwrap();
    let start = Instant::now();
    assert_eq!(reason(&store, "a").await, "store-unreachable");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}
