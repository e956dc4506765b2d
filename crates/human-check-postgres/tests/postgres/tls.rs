use super::*;
use crate::server::Server;

#[tokio::test]
async fn a_certificate_is_verified_where_the_url_says_so() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = Server::start();
    let _ = server.store_with_table().await;
    let path = |name: &str| server.directory().join("data").join(name);
    std::fs::write(path("server.crt"), certified.cert.pem()).unwrap();
    std::fs::write(path("server.key"), certified.signing_key.serialize_pem()).unwrap();
    // The server refuses a key that others may read or that is not its own.
    let copied = server.directory().join("root.pem");
    std::fs::write(&copied, certified.cert.pem()).unwrap();
    server.own_file("server.key");
    server.run("ALTER SYSTEM SET ssl = on").await;
    server.run("SELECT pg_reload_conf()").await;
    let at = |query: &str| {
        let url = server.url().expose().replace("127.0.0.1", "localhost");
        let url = Secret::new(format!("{url}?{query}")).unwrap();
        PostgresReplayStore::new(&url, &secret()).unwrap()
    };
    let trusting = at(&format!(
        "sslmode=verify-full&sslrootcert={}",
        copied.display()
    ));
    until(async || claim(&trusting, "a").await.is_ok()).await;
    assert_eq!(claim(&trusting, "a").await.unwrap(), Claimed::Duplicate);
    assert_eq!(
        reason(&at("sslmode=verify-full"), "b").await,
        "store-unreachable"
    );
}
