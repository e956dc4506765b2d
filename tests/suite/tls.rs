//! Which certificates the transports accept.

use std::sync::{Arc, Mutex};

use human_check_core::{ErrorKind, HumanCheck, Secret, Submission};
use human_check_http::{
    Endpoint, HyperTransport, ProviderClient, Proxy, Request, ReqwestTransport, SendErrorKind,
    Transport, TransportOptions,
};
type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Returns a self-signed certificate for `name`.
pub(crate) fn certified(name: &str) -> Certified {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
}

/// Returns what accepts connections with a certificate, for these protocols.
pub(crate) fn acceptor(certified: &Certified, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Starts a provider with a self-signed certificate for `name`. Returns its port and the
/// certificate.
pub(crate) async fn provider(name: &str) -> (u16, Vec<u8>) {
    let certified = certified(name);
    let acceptor = acceptor(&certified, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    (port, certified.cert.der().to_vec())
}

fn transports(roots: &[Vec<u8>]) -> [Box<dyn Transport>; 2] {
    transports_with(TransportOptions::new().with_roots(roots.to_vec()))
}

fn transports_with(options: TransportOptions) -> [Box<dyn Transport>; 2] {
    [
        Box::new(HyperTransport::with_options(options.clone()).unwrap()),
        Box::new(ReqwestTransport::with_options(options).unwrap()),
    ]
}

async fn send(transport: &dyn Transport, port: u16) -> Result<u16, SendErrorKind> {
    send_to(transport, &format!("https://127.0.0.1:{port}/siteverify")).await
}

async fn send_to(transport: &dyn Transport, url: &str) -> Result<u16, SendErrorKind> {
    let endpoint = Endpoint::parse(url).unwrap();
    let sent = transport.send(&Request::get(&endpoint), 1_000).await;
    sent.map(|reply| reply.status())
        .map_err(|error| error.kind())
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (port, _) = provider("127.0.0.1").await;
    for transport in transports(&[]) {
        // The transport refuses before it sends the request, so the secret is not sent.
        assert_eq!(
            send(&*transport, port).await,
            Err(SendErrorKind::CertificateRejected),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (port, certificate) = provider("provider.example").await;
    for transport in transports(std::slice::from_ref(&certificate)) {
        assert_eq!(
            send(&*transport, port).await,
            Err(SendErrorKind::CertificateRejected),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn an_added_root_is_trusted() {
    let (port, certificate) = provider("127.0.0.1").await;
    for transport in transports(std::slice::from_ref(&certificate)) {
        assert_eq!(send(&*transport, port).await, Ok(200), "{transport:?}");
    }
    let error = HyperTransport::with_options(
        TransportOptions::new().with_roots([b"no certificate".to_vec()]),
    )
    .unwrap_err();
    assert_eq!(error.field(), "roots");
}

#[tokio::test]
async fn an_untrusted_certificate_is_an_alert_and_no_outage() {
    let (port, _) = provider("127.0.0.1").await;
    let client = ProviderClient::new(HyperTransport::new().unwrap()).with_base_url(
        &human_check_turnstile::TURNSTILE,
        Endpoint::parse(&format!("https://127.0.0.1:{port}")).unwrap(),
    );
    let secret = Secret::new("0x4AAAAAAAexample").unwrap();
    let check = human_check_turnstile::Turnstile::new(&client, secret).unwrap();
    let submission = Submission::new().with_token(&human_check_turnstile::TURNSTILE, "a-token");
    let error = check.check(&submission).await.unwrap_err();
    let seen = (error.kind(), error.reason());
    assert_eq!(seen, (ErrorKind::Misconfigured, "certificate-rejected"));
    assert!(error.is_alert() && !error.token_may_be_used());
}

/// Starts a proxy whose tunnels all lead to `port` of this machine. It requires the given
/// credentials, if any. Returns its address, and the heads of the requests it got.
async fn proxy(port: u16, credentials: Option<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let allowed = credentials.is_none_or(|expected| {
                    head.contains(&format!("proxy-authorization: basic {expected}").to_lowercase())
                });
                seen.lock().unwrap().push(head);
                if !allowed {
                    let refused = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                    client.write_all(refused).await.unwrap();
                    return;
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, heads)
}

#[tokio::test]
async fn a_proxy_is_used_by_a_tunnel_that_it_cannot_read() {
    let (port, certificate) = provider("provider.example").await;
    let (address, heads) = proxy(port, None).await;
    let proxy = Proxy::parse(&format!("http://{address}")).unwrap();
    let options = TransportOptions::new()
        .with_roots([certificate])
        .with_proxy(proxy);
    for (index, transport) in transports_with(options).iter().enumerate() {
        let sent = send_to(&**transport, "https://provider.example/siteverify").await;
        assert_eq!(sent, Ok(200), "{transport:?}");
        let head = heads.lock().unwrap()[index].clone();
        assert!(
            head.starts_with("connect provider.example:443 http/1.1\r\n"),
            "{head}"
        );
        assert!(!head.contains("siteverify"), "{head}");
    }
}

#[tokio::test]
async fn a_proxy_gets_the_credentials_of_its_url_and_a_refusal_is_no_outage() {
    let (port, certificate) = provider("provider.example").await;
    let (address, _) = proxy(port, Some("YWRhOnAlcw==")).await;
    for (credentials, expected) in [
        ("ada:p%25s@", Ok(200)),
        ("", Err(SendErrorKind::ProxyRefused)),
        ("ada:other@", Err(SendErrorKind::ProxyRefused)),
    ] {
        let proxy = Proxy::parse(&format!("http://{credentials}{address}")).unwrap();
        let roots = [certificate.clone()];
        let options = TransportOptions::new().with_roots(roots).with_proxy(proxy);
        for transport in transports_with(options) {
            let sent = send_to(&*transport, "https://provider.example/siteverify").await;
            assert_eq!(sent, expected, "{transport:?} {credentials}");
        }
    }
}

#[tokio::test]
async fn this_machine_is_called_without_the_proxy() {
    let (port, certificate) = provider("127.0.0.1").await;
    let proxy = Proxy::parse("http://192.0.2.1:9").unwrap();
    let options = TransportOptions::new()
        .with_roots([certificate])
        .with_proxy(proxy);
    for transport in transports_with(options) {
        assert_eq!(send(&*transport, port).await, Ok(200), "{transport:?}");
    }
}
