use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use human_check::ConfigError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{Endpoint, Reply, Request, SendError, SendErrorKind, Transport};

/// How many checks share one HTTP/2 connection before the next is opened. Servers usually allow
/// 100 streams.
const STREAMS: usize = 100;
/// The most HTTP/2 connections to one vendor.
const LANES: usize = 8;
/// Kept under what servers close idle connections after.
const IDLE: Duration = Duration::from_secs(45);

/// The transport over reqwest, and the default.
///
/// Build one per process: it loads the trusted roots once, keeps connections, and shares them
/// between all vendors and clones. No redirects, cookies, referers or environment proxies; TLS is
/// verified and no option says otherwise; `TCP_NODELAY` is on.
///
/// Over HTTP/2 a burst of checks on a cold process opens one connection and then as many as the
/// checks in flight need, at most eight to a vendor, instead of one for each check.
#[derive(Clone)]
pub struct ReqwestTransport {
    lanes: Arc<[reqwest::Client]>,
    hosts: Arc<Mutex<Vec<Arc<Host>>>>,
}

impl ReqwestTransport {
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
        let trust = Trust::load(roots.into_iter().collect())?;
        let lane = || {
            let builder = reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(1))
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .no_proxy()
                .retry(reqwest::retry::never())
                .tcp_nodelay(true)
                .pool_idle_timeout(IDLE)
                // Finds out that a connection died before every check on it has timed out.
                .http2_keep_alive_interval(Duration::from_secs(1))
                .http2_keep_alive_timeout(Duration::from_secs(2));
            trust.apply(builder).build().map_err(|_| {
                ConfigError::new(
                    "transport",
                    "cannot set up TLS",
                    "build human-check-http with the feature `rustls` or `native-tls`",
                )
            })
        };
        Ok(Self {
            lanes: (0..LANES).map(|_| lane()).collect::<Result<_, _>>()?,
            hosts: Arc::default(),
        })
    }

    fn host(&self, endpoint: &Endpoint) -> Arc<Host> {
        let url = endpoint.url();
        let (name, port) = (url.host_str().unwrap_or(""), url.port_or_known_default());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.iter().find(|h| h.port == port && h.name == name) {
            return Arc::clone(host);
        }
        let host = Arc::new(Host {
            name: name.to_owned(),
            port,
            in_flight: AtomicUsize::new(0),
            multiplexes: AtomicBool::new(url.scheme() == "https"),
            gates: std::array::from_fn(|_| Gate::default()),
        });
        hosts.push(Arc::clone(&host));
        host
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReqwestTransport")
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: &Request, cap: usize) -> Result<Reply, SendError> {
        let host = self.host(request.endpoint());
        let place = InFlight::enter(&host);
        if !host.multiplexes.load(Ordering::Relaxed) {
            return exchange(&self.lanes[0], request, cap)
                .await
                .map(|(reply, _)| reply);
        }
        let lane = place.number / STREAMS % LANES;
        let opening = host.gates[lane].pass().await;
        let (reply, http2) = exchange(&self.lanes[lane], request, cap).await?;
        host.multiplexes.store(http2, Ordering::Relaxed);
        if let Some(opening) = opening {
            opening.done();
        }
        host.gates[lane].used();
        Ok(reply)
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: &Request,
    cap: usize,
) -> Result<(Reply, bool), SendError> {
    let mut outgoing = reqwest::Request::new(request.method(), request.endpoint().url().clone());
    *outgoing.headers_mut() = request.headers();
    if !request.body().is_empty() {
        *outgoing.body_mut() = Some(request.body().clone().into());
    }
    let mut response = client.execute(outgoing).await.map_err(send_error)?;
    let http2 = response.version() == reqwest::Version::HTTP_2;
    let too_large = |length: u64| length > cap as u64;
    if response.content_length().is_some_and(too_large) {
        return Err(SendError::new(SendErrorKind::TooLarge));
    }
    // Most replies come in one piece, which is then not copied.
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

fn send_error(error: reqwest::Error) -> SendError {
    let kind = if error.is_connect() {
        SendErrorKind::NotSent
    } else {
        SendErrorKind::Lost
    };
    SendError::new(kind).with_source(error.without_url())
}

/// A vendor's host and the connections to it.
struct Host {
    name: String,
    port: Option<u16>,
    in_flight: AtomicUsize,
    /// Whether it is thought to speak HTTP/2, where checks wait for each other to connect.
    multiplexes: AtomicBool,
    gates: [Gate; LANES],
}

/// A place among the requests in flight.
struct InFlight<'a> {
    host: &'a Host,
    number: usize,
}

impl<'a> InFlight<'a> {
    fn enter(host: &'a Host) -> Self {
        let number = host.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { host, number }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.host.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets one request through to open a connection, and the others once it is open.
struct Gate {
    state: watch::Sender<GateState>,
    last_used: Mutex<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq)]
enum GateState {
    Cold,
    Open,
    Opening,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(GateState::Cold),
            last_used: Mutex::new(None),
        }
    }
}

impl Gate {
    /// `Some` for the request that opens. When its opening fails the waiting ones go on by
    /// themselves, since holding each back in turn would only add up their timeouts.
    async fn pass(&self) -> Option<Opening<'_>> {
        let mut opens = false;
        self.state.send_if_modified(|state| {
            opens = *state == GateState::Cold || *state == GateState::Open && self.is_idle();
            if opens {
                *state = GateState::Opening;
            }
            opens
        });
        if opens {
            return Some(Opening(self));
        }
        if *self.state.borrow() == GateState::Opening {
            // Fails only when the sender is gone, and `self` holds it.
            let _ = self
                .state
                .subscribe()
                .wait_for(|state| *state != GateState::Opening)
                .await;
        }
        None
    }

    fn used(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_idle(&self) -> bool {
        self.last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none_or(|at| at.elapsed() >= IDLE)
    }
}

/// Held by the request that opens a connection. Dropped early, by a failure or because its check
/// was given up, it lets the others through.
struct Opening<'a>(&'a Gate);

impl Opening<'_> {
    fn done(self) {
        self.0.used();
        self.0.state.send_replace(GateState::Open);
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            let failed = *state == GateState::Opening;
            if failed {
                *state = GateState::Cold;
            }
            failed
        });
    }
}

#[cfg(feature = "rustls")]
struct Trust(rustls::ClientConfig);

#[cfg(feature = "rustls")]
impl Trust {
    fn load(roots: Vec<Vec<u8>>) -> Result<Self, ConfigError> {
        use rustls_platform_verifier::Verifier;
        use std::sync::OnceLock;

        // Reading the system's certificates costs more than a handshake; once is enough.
        static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();

        // Named here, because a process-wide default would be ambiguous in a program that also
        // enables another one.
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let bad = |_: rustls::Error| {
            ConfigError::new(
                "roots",
                "cannot be loaded",
                "install the system's CA certificates (package ca-certificates), and give further roots as DER",
            )
        };
        let verifier = match SYSTEM.get() {
            Some(verifier) if roots.is_empty() => Arc::clone(verifier),
            _ if roots.is_empty() => {
                let loaded = Arc::new(Verifier::new(Arc::clone(&crypto)).map_err(bad)?);
                Arc::clone(SYSTEM.get_or_init(|| loaded))
            }
            _ => {
                let roots = roots.into_iter().map(Into::into);
                Arc::new(Verifier::new_with_extra_roots(roots, Arc::clone(&crypto)).map_err(bad)?)
            }
        };
        let mut config = rustls::ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .map_err(bad)?
            .dangerous() // rustls's name for naming a verifier; this one is the system's
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
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
                ConfigError::new("roots", "holds no certificate", "give further roots as DER")
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
