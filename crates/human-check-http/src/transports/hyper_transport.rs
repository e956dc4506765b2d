use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use human_check_core::ConfigError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connections::{CONNECT, Connections, IDLE};
use crate::{Reply, Request, SendError, SendErrorKind, Transport};

/// The default transport: hyper with rustls.
///
/// Build one per process: it loads the trusted roots once, keeps connections, and shares them
/// between all providers and clones. It follows no redirect, keeps no cookie, sends no referer and
/// reads no proxy from the environment; TLS is verified and no option says otherwise;
/// `TCP_NODELAY` is on.
///
/// Over HTTP/2 a burst of checks on a cold process opens one connection and then as many as the
/// checks in flight need, at most eight to a provider, instead of one for each check.
#[derive(Clone)]
pub struct HyperTransport {
    connections: Connections<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl HyperTransport {
    /// A transport that trusts what the operating system trusts and connects within one second.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the trusted roots cannot be loaded.
    pub fn new() -> Result<Self, ConfigError> {
        Self::with_roots([] as [Vec<u8>; 0])
    }

    /// The same, and trusts these further root certificates (DER), for networks that inspect TLS.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a certificate cannot be read or the trusted roots cannot be loaded.
    pub fn with_roots(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, ConfigError> {
        let tls = super::tls::client_config(roots.into_iter().collect())?;
        let connections = Connections::new(|| {
            let mut tcp = HttpConnector::new();
            tcp.enforce_http(false); // TLS is the connector's above
            tcp.set_nodelay(true);
            tcp.set_connect_timeout(Some(CONNECT));
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http() // the endpoint has seen to it that plain is loopback
                .enable_all_versions()
                .wrap_connector(tcp);
            Ok(Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                // Finds out that a connection died before every check on it has timed out.
                .http2_keep_alive_interval(Duration::from_secs(1))
                .http2_keep_alive_timeout(Duration::from_secs(2))
                .build(connector))
        })?;
        Ok(Self { connections })
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HyperTransport")
    }
}

#[async_trait]
impl Transport for HyperTransport {
    async fn send(&self, request: &Request, cap: usize) -> Result<Reply, SendError> {
        self.connections
            .exchange(request.endpoint(), |client| exchange(client, request, cap))
            .await
    }
}

async fn exchange(
    client: &Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: &Request,
    cap: usize,
) -> Result<(Reply, bool), SendError> {
    let mut outgoing = http::Request::new(Full::new(request.body().clone()));
    *outgoing.method_mut() = request.method();
    *outgoing.uri_mut() = request.endpoint().uri().clone();
    *outgoing.headers_mut() = request.headers();
    let response = client.request(outgoing).await.map_err(|error| {
        let kind = if error.is_connect() {
            SendErrorKind::NotSent
        } else {
            SendErrorKind::Lost
        };
        SendError::new(kind).with_source(error)
    })?;
    let (parts, mut incoming) = response.into_parts();
    // Most replies come in one piece, which is then not copied.
    let mut body = Bytes::new();
    while let Some(frame) = incoming.frame().await {
        let lost = |error| SendError::new(SendErrorKind::Lost).with_source(error);
        let Ok(piece) = frame.map_err(lost)?.into_data() else {
            continue;
        };
        if body.len() + piece.len() > cap {
            return Err(SendError::new(SendErrorKind::TooLarge));
        }
        body = if body.is_empty() {
            piece
        } else {
            let mut whole = BytesMut::from(body);
            whole.extend_from_slice(&piece);
            whole.freeze()
        };
    }
    let http2 = parts.version == http::Version::HTTP_2;
    Ok((Reply::from_parts(parts.status, parts.headers, body), http2))
}
