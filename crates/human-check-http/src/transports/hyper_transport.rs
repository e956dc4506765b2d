use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use human_check_core::ConfigError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connections::{Connections, IDLE};
use super::connector::Connector;
use super::failure;
use super::resolver::Resolver;
use crate::{Reply, Request, SendError, SendErrorKind, Transport, TransportOptions};

/// The default transport: hyper with rustls (feature `rustls`).
///
/// Create one for each process. It keeps its connections open, and clones share them.
///
/// ```no_run
/// use human_check_http::{HyperTransport, ProviderClient};
///
/// let client = ProviderClient::new(HyperTransport::new()?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// It connects within one second, and closes a connection after 45 seconds without a request. It
/// follows no redirect, stores no cookie, sends no referrer, and does not read proxies from the
/// environment. TLS certificates are always verified.
///
/// With HTTP/2 the first requests of a process share one connection instead of opening one each.
/// Further connections are opened for each hundred checks in flight, at most eight to a provider.
///
/// It needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct HyperTransport {
    connections: Connections<Client<HttpsConnector<Connector>, Full<Bytes>>>,
}

impl HyperTransport {
    /// Creates a transport that trusts the root certificates of the operating system and uses no
    /// proxy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the root certificates cannot be loaded.
    pub fn new() -> Result<Self, ConfigError> {
        Self::with_options(TransportOptions::new())
    }

    /// Creates a transport with other root certificates or a proxy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a root is not a certificate, or the root certificates of the operating
    /// system cannot be loaded.
    pub fn with_options(options: TransportOptions) -> Result<Self, ConfigError> {
        let tls = super::tls::client_config(options.roots)?;
        let connector = Connector::new(Resolver::system(), options.proxy.as_ref());
        let connections = Connections::new(|| {
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http() // `Endpoint` allows http to loopback and link-local addresses only
                .enable_all_versions()
                .wrap_connector(connector.clone());
            Ok(Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                // Detects a dead connection before all checks on it have timed out.
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
    async fn send(&self, request: &Request, max_bytes: usize) -> Result<Reply, SendError> {
        self.connections
            .send(request.endpoint(), |client| {
                send_with(client, request, max_bytes)
            })
            .await
    }
}

/// Sends the request, and returns the reply and whether the connection is HTTP/2.
async fn send_with(
    client: &Client<HttpsConnector<Connector>, Full<Bytes>>,
    request: &Request,
    max_bytes: usize,
) -> Result<(Reply, bool), SendError> {
    let mut outgoing = http::Request::new(Full::new(request.body().clone()));
    *outgoing.method_mut() = request.method();
    *outgoing.uri_mut() = request.endpoint().uri().clone();
    *outgoing.headers_mut() = request.headers();
    let response = client.request(outgoing).await.map_err(|error| {
        let kind = match error.is_connect() {
            true => failure::of_connecting(&error),
            false => SendErrorKind::Lost,
        };
        SendError::new(kind).with_source(error)
    })?;
    let (parts, mut incoming) = response.into_parts();
    // Most replies arrive in one piece, which is not copied.
    let mut body = Bytes::new();
    while let Some(frame) = incoming.frame().await {
        let lost = |error| SendError::new(SendErrorKind::Lost).with_source(error);
        let Ok(piece) = frame.map_err(lost)?.into_data() else {
            continue;
        };
        if body.len() + piece.len() > max_bytes {
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
