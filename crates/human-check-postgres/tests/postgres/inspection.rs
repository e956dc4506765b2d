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
    assert_eq!(store.report().await.unwrap().warnings, []);
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
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
