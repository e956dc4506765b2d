use super::*;
use crate::server::Server;
use human_check_redis::ServerWarning;

/// Returns the warnings about the one server.
async fn warnings(client: &RedisClient) -> Vec<ServerWarning> {
    let [server] = <[_; 1]>::try_from(client.inspect().await.unwrap()).unwrap();
    server.warnings
}

#[tokio::test]
async fn a_good_server_has_no_warnings() {
    let server = Server::start();
    assert_eq!(warnings(&server.client()).await, []);
}

#[tokio::test]
async fn a_server_that_evicts_is_reported() {
    let server = Server::with(&["maxmemory-policy allkeys-lru"]);
    let warnings = warnings(&server.client()).await;
    assert_eq!(
        warnings,
        [ServerWarning::EvictsKeys("allkeys-lru".to_owned())]
    );
    assert!(warnings[0].to_string().contains("noeviction"));
}

#[tokio::test]
async fn a_replica_is_reported() {
    let (primary, replica) = (Server::start(), Server::start());
    replica.run(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    assert_eq!(warnings(&replica.client()).await, [ServerWarning::Replica]);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_reported() {
    let server = Server::with(&["cluster-enabled yes"]);
    assert_eq!(warnings(&server.client()).await, [ServerWarning::Cluster]);
}

#[tokio::test]
async fn a_server_that_forbids_info_is_no_error() {
    let server = Server::start();
    let rules = ["ACL", "SETUSER", "ada", "on", ">secret", "~*", "+set"];
    server.run(&rules);
    let url = format!("redis://ada:secret@127.0.0.1:{}", server.port);
    let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
    let warnings = warnings(&client).await;
    let untold = ["version", "role", "maxmemory-policy"].map(ServerWarning::Unreported);
    assert_eq!(warnings, untold);
    let remedy = "allow its user `+info +config|get";
    assert!(
        warnings
            .iter()
            .all(|warning| warning.to_string().contains(remedy))
    );
    // Claims need no further command.
    assert_eq!(
        claim(&replay_store(&client), "a").await.unwrap(),
        Claimed::First
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let mut server = Server::start();
    server.kill();
    let error = server.client().inspect().await.unwrap_err();
    assert_eq!(error.reason(), "store-unreachable");
}
