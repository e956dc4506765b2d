use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use human_check_core::ConfigError;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tower_service::Service;

use super::connector::Connector;
use super::failure;
use super::lanes::{
    BURST_LANES, Dial, DialError, Dialled, Host, Http1Line, Http2Line, Line, MAX_STREAMS, Sent,
};
use super::resolver::Resolver;
use crate::{Endpoint, Reply, Request, SendError, SendErrorKind, Transport, TransportOptions};

/// How often a request is sent at most, if the server says each time that it did not act on it.
const MAX_TRIES: usize = 4;

/// How long a request that a server has refused waits before it is sent again.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// The default transport: hyper and h2 with rustls (feature `rustls`).
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
/// It connects within one second for each address of the host, and within three in total. It
/// follows no redirect, stores no cookie, sends no referrer, and does not read proxies from the
/// environment. TLS certificates are always verified.
///
/// # Connections
///
/// With HTTP/2 a connection carries as many requests as the server allows streams, at most 100. The
/// transport opens further connections only for requests that find no place: at most eight to a
/// host, and up to 32 if the first connection takes more than 100 ms, or when requests have been
/// waiting for a second without a break. A request goes to the connection with the fewest. Until the
/// server has stated its limit on the first connection, 100 streams are assumed. With HTTP/1.1 each
/// request in flight has a connection, at most 1,024 to a host.
///
/// Requests that find no place wait for one, in the order of their arrival. If no connection is open
/// and all attempts fail, they fail. A connection is closed after 45 seconds without a request.
///
/// It needs a tokio runtime with its timer. A connection runs on the runtime of a request that needed
/// it, and other runtimes may share it. If that runtime stops, others open another one. If it is
/// blocked, the requests on its connections wait, and the first that times out closes them for
/// further ones.
#[derive(Clone)]
pub struct HyperTransport {
    connector: HttpsConnector<Connector>,
    resolver: Resolver,
    hosts: Arc<Mutex<Vec<KnownHost>>>,
}

/// A host, and which endpoints it is the host of.
struct KnownHost {
    endpoint: Endpoint,
    host: Arc<Host<Dialler>>,
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
        let resolver = Resolver::system();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http() // `Endpoint` allows http to loopback and link-local addresses only
            .enable_all_versions()
            .wrap_connector(Connector::new(resolver.clone(), options.proxy.as_ref()));
        Ok(Self {
            connector,
            resolver,
            hosts: Arc::default(),
        })
    }

    /// Returns the host of `endpoint`.
    fn host(&self, endpoint: &Endpoint) -> Arc<Host<Dialler>> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts
            .iter()
            .find(|known| known.endpoint.has_host_of(endpoint))
        {
            return Arc::clone(&known.host);
        }
        let host = Host::new(Dialler {
            connector: self.connector.clone(),
            resolver: self.resolver.clone(),
            uri: endpoint.uri().clone(),
        });
        hosts.push(KnownHost {
            endpoint: endpoint.clone(),
            host: Arc::clone(&host),
        });
        host
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
        let host = self.host(request.endpoint());
        for _ in 0..MAX_TRIES {
            let mut lease = host.lease().await?;
            let sent = lease.line().send(request, max_bytes).await;
            lease.set_replied();
            match sent {
                Sent::Done(result) => return result,
                Sent::Closing => lease.close(),
                Sent::Refused => {
                    drop(lease);
                    sleep(PAUSE_AFTER_REFUSAL).await;
                }
            }
        }
        let text = "the provider refuses the request without acting on it";
        Err(SendError::new(SendErrorKind::Lost).with_source(text))
    }

    async fn prewarm(&self, endpoint: &Endpoint, in_flight: usize) -> Result<(), SendError> {
        let host = self.host(endpoint);
        // Shows the protocol, and sends nothing.
        let mut first = host.lease().await?;
        first.set_replied();
        let lanes = match first.line().multiplexes() {
            true => in_flight.div_ceil(first.line().capacity().clamp(1, MAX_STREAMS)),
            false => in_flight,
        };
        drop(first);
        host.open(lanes.min(BURST_LANES)).await;
        Ok(())
    }

    fn separate(&self) -> Option<Arc<dyn Transport>> {
        Some(Arc::new(Self {
            hosts: Arc::default(),
            ..self.clone()
        }))
    }
}

/// Opens the connections to one host.
struct Dialler {
    connector: HttpsConnector<Connector>,
    resolver: Resolver,
    uri: Uri,
}

#[async_trait]
impl Dial for Dialler {
    type Line = AnyLine;

    async fn dial(&self, streams: usize) -> Result<Dialled<AnyLine>, DialError> {
        let io = self.connector.clone().call(self.uri.clone()).await;
        let io = io.map_err(|error| {
            // The addresses may be those of another machine by now.
            if let Some(host) = self.uri.host() {
                self.resolver.doubt(host);
            }
            let kind = failure::of_connecting(&*error);
            DialError::new(kind, failure::text_of(&*error))
        })?;
        if io.connected().is_negotiated_h2() {
            let Dialled { line, driver } = Http2Line::start(TokioIo::new(io), streams).await?;
            let line = AnyLine::Http2(line);
            Ok(Dialled { line, driver })
        } else {
            let Dialled { line, driver } = Http1Line::start(io).await?;
            let line = AnyLine::Http1(line);
            Ok(Dialled { line, driver })
        }
    }
}

/// A connection with the protocol that the server has chosen.
#[derive(Clone)]
enum AnyLine {
    Http1(Http1Line),
    Http2(Http2Line),
}

impl AnyLine {
    async fn send(&self, request: &Request, max_bytes: usize) -> Sent {
        match self {
            Self::Http1(line) => line.send(request, max_bytes).await,
            Self::Http2(line) => line.send(request, max_bytes).await,
        }
    }
}

impl Line for AnyLine {
    fn capacity(&self) -> usize {
        match self {
            Self::Http1(line) => line.capacity(),
            Self::Http2(line) => line.capacity(),
        }
    }

    fn multiplexes(&self) -> bool {
        match self {
            Self::Http1(line) => line.multiplexes(),
            Self::Http2(line) => line.multiplexes(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(line) => line.is_closed(),
            Self::Http2(line) => line.is_closed(),
        }
    }
}
