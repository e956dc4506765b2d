use super::*;
use crate::server::Server;
use sqlx::Row;

#[tokio::test]
async fn the_first_claim_is_first_and_the_others_are_not() {
    let server = Server::start();
    let (here, there) = (server.store_with_table().await, server.store());
    assert_eq!(claim(&here, "a").await.unwrap(), Claimed::First);
    assert_eq!(claim(&here, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(claim(&there, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(claim(&there, "b").await.unwrap(), Claimed::First);
    let other = PostgresReplayStore::new(&server.url(), &Secret::new("other").unwrap()).unwrap();
    assert_eq!(claim(&other, "a").await.unwrap(), Claimed::First);
    // The table exists already, which is no error.
    there.create_table().await.unwrap();
    assert_eq!(claim(&there, "a").await.unwrap(), Claimed::Duplicate);
}

#[tokio::test]
async fn a_claim_is_a_digest_and_an_end() {
    let server = Server::start();
    let store = server.store_with_table().await;
    let _ = claim(&store, "visible-token").await.unwrap();
    let ask = "SELECT digest, extract(epoch FROM expires_at - now())::float8 AS left FROM human_check_claims";
    let rows = sqlx::query(ask)
        .fetch_all(&server.pool().await)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<Vec<u8>, _>("digest").len(), 16);
    let left: f64 = rows[0].get("left");
    assert!(left > 30.0 && left <= 60.0, "{left} s left");
}

#[tokio::test]
async fn a_ttl_above_the_maximum_is_refused_and_the_maximum_is_not() {
    let server = Server::start();
    let store = server.store_with_table().await;
    let max = store.max_ttl();
    assert_eq!(claim_for(&store, "a", max).await.unwrap(), Claimed::First);
    let too_long = claim_for(&store, "b", max + Duration::from_secs(1)).await;
    assert_eq!(too_long.unwrap_err().reason(), "ttl-too-long");
}

#[tokio::test]
async fn claims_that_expired_are_deleted_and_no_others() {
    let server = Server::start();
    let store = server.store_with_table().await;
    // More than two batches.
    server
        .run("INSERT INTO human_check_claims SELECT int4send(n), now() - interval '1 second' FROM generate_series(1, 2500) AS n")
        .await;
    // The first claim of a process deletes in the background.
    assert_eq!(claim(&store, "kept").await.unwrap(), Claimed::First);
    let pool = server.pool().await;
    let count = async || {
        let row = sqlx::query("SELECT count(*) AS n FROM human_check_claims").fetch_one(&pool);
        row.await.unwrap().get::<i64, _>("n")
    };
    until(async || count().await == 1).await;
    assert_eq!(store.delete_expired().await.unwrap(), 0);
    assert_eq!(claim(&store, "kept").await.unwrap(), Claimed::Duplicate);
    assert_eq!(
        claim_for(&store, "short", Duration::from_millis(1))
            .await
            .unwrap(),
        Claimed::First
    );
    until(async || store.delete_expired().await.unwrap() == 1).await;
    assert_eq!(claim(&store, "short").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn another_table_in_a_schema_is_another_store() {
    let server = Server::start();
    server.run("CREATE SCHEMA app").await;
    let store = server.store_with_table().await;
    let other = server.store().with_table("app.used").unwrap();
    other.create_table().await.unwrap();
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    assert_eq!(claim(&other, "a").await.unwrap(), Claimed::First);
    assert_eq!(other.report().await.unwrap().warnings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_claims_at_once_each_token_wins_once() {
    let server = Server::start();
    let _ = server.store_with_table().await;
    // Four stores with connections of their own, as four processes have. The time that they take is
    // not tested here.
    let stores: Vec<_> = (0..4)
        .map(|_| server.store().with_timeout(MINUTE))
        .collect();
    let claims = (0..10_000).map(|n| {
        let store = stores[n % 4].clone();
        tokio::spawn(async move { (n % 100, claim(&store, &format!("token-{}", n % 100)).await) })
    });
    let mut winners = [0; 100];
    for claim in claims.collect::<Vec<_>>() {
        let (token, claimed) = claim.await.unwrap();
        winners[token] += usize::from(claimed.unwrap() == Claimed::First);
    }
    assert_eq!(winners, [1; 100]);
}

#[tokio::test]
async fn a_claim_is_written_whatever_the_application_does_with_its_pool() {
    let server = Server::start();
    // One connection, inside of a transaction that is undone later.
    let one = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = one.connect(server.url().expose()).await.unwrap();
    let store = PostgresReplayStore::from_pool(&pool, &secret());
    store.create_table().await.unwrap();
    let transaction = pool.begin().await.unwrap();
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    transaction.rollback().await.unwrap();
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(
        claim(&server.store(), "a").await.unwrap(),
        Claimed::Duplicate
    );
    assert!(!format!("{store:?}").contains(crate::server::PASSWORD));
}

#[tokio::test]
async fn each_table_has_its_expired_claims_deleted() {
    let server = Server::start();
    let store = server.store_with_table().await;
    let other = store.clone().with_table("order").unwrap();
    other.create_table().await.unwrap();
    for table in ["human_check_claims", "\"order\""] {
        server
            .run(&format!(
                "INSERT INTO {table} VALUES ('x', now() - interval '1 second')"
            ))
            .await;
    }
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    assert_eq!(claim(&other, "a").await.unwrap(), Claimed::First);
    let pool = server.pool().await;
    for table in ["human_check_claims", "\"order\""] {
        let ask = format!("SELECT count(*) AS n FROM {table}");
        until(async || {
            let row = sqlx::query(&ask).fetch_one(&pool).await.unwrap();
            row.get::<i64, _>("n") == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_may_all_create_the_table() {
    let server = Server::start();
    let created = (0..8).map(|_| {
        let store = server.store().with_timeout(MINUTE);
        tokio::spawn(async move { store.create_table().await })
    });
    for created in created.collect::<Vec<_>>() {
        created.await.unwrap().unwrap();
    }
    assert_eq!(server.store().report().await.unwrap().warnings, []);
}
