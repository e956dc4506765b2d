use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use human_check_core::ConfigError;
use tokio::sync::Semaphore;

use super::failure;
use super::proxy::Proxy;
use super::reply_body::ReplyBody;
use super::resolver::{MAX_ADDRESSES, Resolver};
use crate::{Reply, Request, SendError, SendErrorKind, Transport, TransportOptions};

/// A transport over reqwest (feature `reqwest`).
///
/// For programs that use reqwest anyway, or need the operating system's own TLS library (feature
/// `native-tls`). Without the features `rustls` and `native-tls` it reaches loopback addresses only.
///
/// It speaks HTTP/1.1, so each request in flight has a connection of its own, and an idle one is kept
/// for 45 seconds. At most 512 requests are in flight at a time; further ones wait for a place, in
/// the order of their arrival. `HyperTransport` shares a few connections between all requests and
/// opens them in advance, and needs about two thirds of the time for each check.
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
    client: reqwest::Client,
    /// The client of health probes, which keeps no connection.
    separate: reqwest::Client,
    places: Arc<Semaphore>,
}

/// How many requests are in flight at most. reqwest opens a connection for each.
const MAX_IN_FLIGHT: usize = 512;

/// How long connecting may take: a second for each of the addresses that the resolver returns for a
/// family, because reqwest divides the time among them.
const CONNECT: Duration = Duration::from_secs(MAX_ADDRESSES as u64);

/// How long an idle connection is kept. Shorter than the time after which most servers close it.
const IDLE: Duration = Duration::from_secs(45);

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
        let client = |max_idle| {
            let builder = reqwest::Client::builder()
                .http1_only()
                .pool_max_idle_per_host(max_idle)
                .dns_resolver(Arc::new(Resolver::system()))
                .connect_timeout(CONNECT)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .retry(reqwest::retry::never())
                .tcp_nodelay(true)
                .pool_idle_timeout(IDLE);
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
            client: client(usize::MAX)?,
            separate: client(0)?,
            places: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
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
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let mut outgoing =
            reqwest::Request::new(request.method(), request.endpoint().url().clone());
        *outgoing.headers_mut() = request.headers();
        if !request.body().is_empty() {
            *outgoing.body_mut() = Some(request.body().clone().into());
        }
        let mut response = self.client.execute(outgoing).await.map_err(send_error)?;
        let mut body = ReplyBody::new(max_bytes);
        while let Some(piece) = response.chunk().await.map_err(send_error)? {
            body.push(piece)?;
        }
        let headers = std::mem::take(response.headers_mut());
        let body = body.into_bytes();
        Ok(Reply::from_parts(response.status(), headers, body))
    }

    fn separate(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Self {
            client: self.separate.clone(),
            ..self.clone()
        }))
    }
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
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
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
