use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::ConfigError;

use super::connections::{CONNECT, Connections, IDLE};
use super::failure;
use super::proxy::Proxy;
use super::resolver::Resolver;
use crate::{Reply, Request, SendError, SendErrorKind, Transport, TransportOptions};

/// A transport over reqwest (feature `reqwest`).
///
/// For programs that use reqwest anyway, or need the operating system's own TLS library (feature
/// `native-tls`). It behaves like `HyperTransport`, and needs about a third more time for each
/// check. Without the features `rustls` and `native-tls` it reaches loopback addresses only.
///
/// ```no_run
/// use human_check_http::{ProviderClient, ReqwestTransport};
///
/// let client = ProviderClient::new(ReqwestTransport::new()?);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// It needs a tokio runtime with its timer.
#[derive(Clone)]
pub struct ReqwestTransport {
    connections: Connections<reqwest::Client>,
}

impl ReqwestTransport {
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
        let trust = Trust::load(options.roots)?;
        let resolver = Arc::new(Resolver::system());
        let client = || {
            let builder = reqwest::Client::builder()
                .dns_resolver(Arc::clone(&resolver))
                .connect_timeout(CONNECT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .retry(reqwest::retry::never())
                .tcp_nodelay(true)
                .pool_idle_timeout(IDLE)
                // Detects a dead connection before all checks on it have timed out.
                .http2_keep_alive_interval(Duration::from_secs(1))
                .http2_keep_alive_timeout(Duration::from_secs(2));
            let builder = match &options.proxy {
                Some(proxy) => builder.proxy(tunnel(proxy)),
                None => builder,
            };
            trust.apply(builder).build().map_err(|_| {
                ConfigError::new(
                    "transport",
                    "cannot set up TLS",
                    "build human-check-http with the feature `rustls` or `native-tls`",
                )
            })
        };
        Ok(Self {
            connections: Connections::new(client)?,
        })
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReqwestTransport")
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
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
    client: &reqwest::Client,
    request: &Request,
    max_bytes: usize,
) -> Result<(Reply, bool), SendError> {
    let mut outgoing = reqwest::Request::new(request.method(), request.endpoint().url().clone());
    *outgoing.headers_mut() = request.headers();
    if !request.body().is_empty() {
        *outgoing.body_mut() = Some(request.body().clone().into());
    }
    let mut response = client.execute(outgoing).await.map_err(send_error)?;
    let http2 = response.version() == reqwest::Version::HTTP_2;
    let too_large = |length: u64| length > max_bytes as u64;
    if response.content_length().is_some_and(too_large) {
        return Err(SendError::new(SendErrorKind::TooLarge));
    }
    // Most replies arrive in one piece, which is not copied.
    let mut body = response
        .chunk()
        .await
        .map_err(send_error)?
        .unwrap_or_default();
    while let Some(more) = response.chunk().await.map_err(send_error)? {
        if too_large((body.len() + more.len()) as u64) {
            return Err(SendError::new(SendErrorKind::TooLarge));
        }
        body = [body, more].concat().into();
    }
    if too_large(body.len() as u64) {
        return Err(SendError::new(SendErrorKind::TooLarge));
    }
    let headers = std::mem::take(response.headers_mut());
    Ok((Reply::from_parts(response.status(), headers, body), http2))
}

/// Returns the proxy in the type of reqwest.
fn tunnel(proxy: &Proxy) -> reqwest::Proxy {
    let uri = proxy.uri.to_string();
    let tunnel = reqwest::Proxy::custom(move |target| Proxy::serves(target).then(|| uri.clone()));
    match &proxy.authorization {
        Some(authorization) => tunnel.custom_http_auth(authorization.clone()),
        None => tunnel,
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let found = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async {
            let addresses: reqwest::dns::Addrs = Box::new(found.await?);
            Ok(addresses)
        })
    }
}

/// Converts an error of reqwest, without its URL.
fn send_error(error: reqwest::Error) -> SendError {
    let kind = match error.is_connect() {
        true => failure::of_connecting(&error),
        false => SendErrorKind::Lost,
    };
    SendError::new(kind).with_source(error.without_url())
}

/// The root certificates that connections trust, for the TLS library of the enabled feature.
#[cfg(feature = "rustls")]
struct Trust(rustls::ClientConfig);

#[cfg(feature = "rustls")]
impl Trust {
    fn load(roots: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        let mut config = super::tls::client_config(roots)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(config))
    }

    fn apply(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder.tls_backend_preconfigured(self.0.clone())
    }
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
struct Trust(Vec<reqwest::Certificate>);

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
impl Trust {
    fn load(roots: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        let read = |der: Vec<u8>| {
            reqwest::Certificate::from_der(&der).map_err(|_| {
                ConfigError::new(
                    "roots",
                    "contains an entry that is not a certificate",
                    "pass additional roots as DER",
                )
            })
        };
        roots
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn apply(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder
            .tls_backend_native()
            .tls_certs_merge(self.0.iter().cloned())
    }
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
struct Trust;

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
impl Trust {
    fn load(_roots: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    fn apply(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder
    }
}
