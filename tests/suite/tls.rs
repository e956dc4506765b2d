//! Which certificates the transports accept.

use std::sync::Arc;

use human_check_http::{
    Endpoint, HyperTransport, Request, ReqwestTransport, SendErrorKind, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Starts a provider with a self-signed certificate for `name`. Returns its port and the
/// certificate.
async fn provider(name: &str) -> (u16, Vec<u8>) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
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
    [
        Box::new(HyperTransport::with_roots(roots.to_vec()).unwrap()),
        Box::new(ReqwestTransport::with_roots(roots.to_vec()).unwrap()),
    ]
}

async fn send(transport: &dyn Transport, port: u16) -> Result<u16, SendErrorKind> {
    let endpoint = Endpoint::parse(&format!("https://127.0.0.1:{port}/siteverify")).unwrap();
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
            Err(SendErrorKind::NotSent),
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
            Err(SendErrorKind::NotSent),
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
    let error = HyperTransport::with_roots([b"no certificate".to_vec()]).unwrap_err();
    assert_eq!(error.field(), "roots");
}
