use super::*;
use crate::fleet::wait_for;
use crate::server::Server;
use redis::Value;
use tempfile::TempDir;

/// A certificate for this machine, in files.
struct Certificate {
    pem: String,
    directory: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let pem = certified.cert.pem();
        std::fs::write(directory.path().join("cert.pem"), &pem).unwrap();
        let key = certified.signing_key.serialize_pem();
        std::fs::write(directory.path().join("key.pem"), key).unwrap();
        Self { pem, directory }
    }

    /// Returns the lines of redis.conf for TLS on a port.
    fn lines(&self, port: u16) -> Vec<String> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        vec![
            format!("tls-port {port}"),
            format!("tls-cert-file {}", path("cert.pem")),
            format!("tls-key-file {}", path("key.pem")),
            format!("tls-ca-cert-file {}", path("cert.pem")),
            "tls-auth-clients no".to_owned(),
        ]
    }

    /// Claims a token over TLS without this certificate and with it.
    async fn expect_to_be_needed(&self, url: &str) {
        let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
        let reason = reason(&replay_store(&client), "a").await;
        assert_eq!(reason, "store-unreachable", "{url}");
        let trusting = client.with_root_certificates(self.pem.as_bytes()).unwrap();
        let store = replay_store(&trusting);
        assert_eq!(claim(&store, "a").await.unwrap(), Claimed::First, "{url}");
        assert_eq!(claim(&store, "a").await.unwrap(), Claimed::Duplicate);
    }
}

fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn start(lines: &[String]) -> Server {
    Server::with(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_server_over_tls_is_used_when_its_certificate_is_trusted() {
    let (certificate, port) = (Certificate::new(), free_port());
    let _server = start(&certificate.lines(port));
    let url = format!("rediss://localhost:{port}");
    certificate.expect_to_be_needed(&url).await;
}

#[tokio::test]
async fn a_cluster_over_tls_is_used_when_its_certificate_is_trusted() {
    let (certificate, port) = (Certificate::new(), free_port());
    let mut lines = certificate.lines(port);
    lines.push("cluster-enabled yes".to_owned());
    lines.push("tls-cluster yes".to_owned());
    let server = start(&lines);
    let slots: Vec<_> = (0..16_384).map(|slot| slot.to_string()).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    server.run(&add);
    wait_for("the cluster to work", || {
        let info = crate::fleet::text(&server, &["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    });
    let url = format!("rediss-cluster://localhost:{port}");
    certificate.expect_to_be_needed(&url).await;
}

#[tokio::test]
async fn a_primary_over_tls_is_used_when_its_certificate_and_that_of_sentinel_are_trusted() {
    let certificate = Certificate::new();
    let (port, sentinel_port) = (free_port(), free_port());
    let _primary = start(&certificate.lines(port));
    let mut lines = certificate.lines(sentinel_port);
    lines.push("tls-replication yes".to_owned());
    lines.push(format!("sentinel monitor main 127.0.0.1 {port} 1"));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let sentinel = Server::sentinel(&lines);
    wait_for("the sentinel to find the primary", || {
        let Value::Array(fields) = sentinel.run(&["SENTINEL", "MASTER", "main"]) else {
            panic!("no list");
        };
        fields.contains(&Value::BulkString(b"master".to_vec()))
    });
    let url = format!("rediss-sentinel://localhost:{sentinel_port}?primary=main");
    certificate.expect_to_be_needed(&url).await;
}

#[test]
fn roots_without_a_certificate_are_refused() {
    let url = Secret::new("rediss://localhost").unwrap();
    let client = RedisClient::new(&url).unwrap();
    assert!(client.with_root_certificates(b"not PEM").is_err());
}
