use super::*;
use crate::server::Server;

#[tokio::test]
async fn a_server_over_tls_is_used_when_its_certificate_is_trusted() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (
        directory.path().join("cert.pem"),
        directory.path().join("key.pem"),
    );
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _server = Server::with(&[
        &format!("tls-port {port}"),
        &format!("tls-cert-file {}", cert.display()),
        &format!("tls-key-file {}", key.display()),
        "tls-auth-clients no",
    ]);
    let url = Secret::new(format!("rediss://localhost:{port}")).unwrap();
    let untrusting = replay_store(&RedisClient::new(&url).unwrap());
    assert_eq!(reason(&untrusting, "a").await, "store-unreachable");
    let trusting = RedisClient::new(&url).unwrap();
    let trusting = trusting.with_root_certificates(certified.cert.pem().as_bytes());
    let store = replay_store(&trusting.unwrap());
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First);
    assert_eq!(claim(&store, "a").await.unwrap(), Claimed::Duplicate);
}

#[test]
fn roots_without_a_certificate_are_refused() {
    let url = Secret::new("rediss://localhost").unwrap();
    let server = RedisClient::new(&url).unwrap();
    assert!(server.with_root_certificates(b"not PEM").is_err());
}
