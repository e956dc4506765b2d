use super::*;
use crate::server::Server;
use human_check_postgres::PostgresWarning;

#[tokio::test]
async fn what_breaks_a_guarantee_is_reported() {
    let server = Server::start();
    let store = server.store();
    let warnings = async || store.report().await.unwrap().warnings;
    let table = || "human_check_claims".to_owned();
    assert_eq!(warnings().await, [PostgresWarning::NoTable(table())]);
    store.create_table().await.unwrap();
    let report = store.inspect().await.unwrap();
    assert_eq!(report.warnings, []);
    assert!(
        report.version.starts_with(|c: char| c.is_ascii_digit()),
        "{report:?}"
    );
    assert!(report.table_bytes.unwrap() > 0, "{report:?}");
    server
        .run("ALTER TABLE human_check_claims SET UNLOGGED")
        .await;
    assert_eq!(warnings().await, [PostgresWarning::Unlogged(table())]);
    server
        .run("ALTER TABLE human_check_claims SET LOGGED")
        .await;
    server
        .run("ALTER USER postgres SET synchronous_commit TO off")
        .await;
    let again = server.store();
    assert_eq!(
        again.report().await.unwrap().warnings,
        [PostgresWarning::AsynchronousCommit]
    );
}

#[tokio::test]
async fn a_user_without_rights_is_reported() {
    let server = Server::start();
    let _ = server.store_with_table().await;
    server.run("CREATE USER guest PASSWORD 'guest'").await;
    let url = server.url_as("guest", "guest", "postgres");
    let store = PostgresReplayStore::new(&url, &secret()).unwrap();
    let expected = PostgresWarning::NotPermitted("human_check_claims".to_owned());
    assert_eq!(store.report().await.unwrap().warnings, [expected]);
    server
        .run("GRANT SELECT, INSERT, DELETE ON human_check_claims TO guest")
        .await;
    let warnings = store.report().await.unwrap().warnings;
    assert!(matches!(warnings[..], [PostgresWarning::NotPermitted(_)]));
    // Rows that expired are locked before they are deleted.
    server
        .run("GRANT UPDATE ON human_check_claims TO guest; INSERT INTO human_check_claims VALUES ('x', now() - interval '1 second')")
        .await;
    assert_eq!(store.report().await.unwrap().warnings, []);
    assert_eq!(store.delete_expired().await.unwrap(), 1);
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
}

#[tokio::test]
async fn a_table_that_lets_a_token_pass_twice_is_reported() {
    let server = Server::start();
    let store = server.store_with_table().await;
    server
        .run("ALTER TABLE human_check_claims DROP CONSTRAINT human_check_claims_pkey")
        .await;
    let warnings = async || store.report().await.unwrap().warnings;
    let table = "human_check_claims".to_owned();
    let expected = PostgresWarning::NotUnique(table);
    assert_eq!(warnings().await, std::slice::from_ref(&expected));
    assert!(expected.prevents_claims());
    // A key of both columns is none of the digest.
    server
        .run("ALTER TABLE human_check_claims ADD PRIMARY KEY (digest, expires_at)")
        .await;
    assert_eq!(warnings().await, [expected]);
    server
        .run("CREATE UNIQUE INDEX ON human_check_claims (digest)")
        .await;
    assert_eq!(warnings().await, []);
}

#[tokio::test]
async fn a_session_that_is_read_only_and_a_server_that_is_not_verified_are_reported() {
    let server = Server::start();
    let _ = server.store_with_table().await;
    // Another name of this machine that is none of its loopback.
    let url = server.url().expose().replace("127.0.0.1", "0.0.0.0");
    let store = PostgresReplayStore::new(&Secret::new(url).unwrap(), &secret()).unwrap();
    let warnings = async || store.report().await.unwrap().warnings;
    assert_eq!(warnings().await, [PostgresWarning::Unverified]);
    server
        .run("ALTER USER postgres SET default_transaction_read_only TO on")
        .await;
    assert_eq!(
        warnings().await,
        [PostgresWarning::ReadOnly, PostgresWarning::Unverified]
    );
}

#[tokio::test]
async fn a_standby_is_reported() {
    let primary = Server::start();
    let _ = primary.store_with_table().await;
    let standby = Server::standby_of(&primary);
    let warnings = standby.store().report().await.unwrap().warnings;
    assert_eq!(warnings, [PostgresWarning::Standby]);
    assert!(warnings[0].prevents_claims());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let url = Secret::new("postgres://a:b@127.0.0.1:1/db").unwrap();
    let store = PostgresReplayStore::new(&url, &secret()).unwrap();
    assert_eq!(
        store.inspect().await.unwrap_err().reason(),
        "store-unreachable"
    );
}
