use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use human_check_core::{ConfigError, Secret};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, Value};

use crate::error::RedisStoreError;
use crate::limits::Limits;
use crate::link::Link;

/// A Redis or Valkey server, version 6 or later, for [`RedisReplayStore`] and
/// [`RedisAttemptStore`].
///
/// It can be created outside of a runtime. It connects when it is first used, and again after a
/// connection broke. Clones and stores share its connections. Change its settings before creating
/// stores.
///
/// Every call ends within the connect timeout and the response timeout together. A command is
/// written at most once. When a call ends without a reply, or its future is dropped, the command
/// was done or not.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_core::Secret;
/// use human_check_redis::RedisClient;
///
/// let url = Secret::new("redis://human-check:a-password@redis.internal:6379")?;
/// let server = RedisClient::new(&url)?.with_response_timeout(Duration::from_millis(200));
/// assert!(!format!("{server:?}").contains("a-password"));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// [`RedisReplayStore`]: crate::RedisReplayStore
/// [`RedisAttemptStore`]: crate::RedisAttemptStore
///
/// See docs/how-to/multi-node.md#the-server.
#[derive(Clone)]
pub struct RedisClient {
    client: Client,
    limits: Limits,
    shared: Arc<Shared>,
}

struct Shared {
    links: Box<[Link]>,
    next: AtomicUsize,
    in_flight: AtomicUsize,
}

impl RedisClient {
    /// Creates a server from the URL `redis://user:password@host:port/db`, or `rediss://` for TLS.
    ///
    /// User, password and database are optional. The URL is a secret because it may hold a
    /// password: `Debug`, errors and logs show host and port only. Opens no connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the URL is not of one of these forms, holds a fragment (`#…`), or needs
    /// TLS without the feature `rustls`.
    pub fn new(url: &Secret) -> Result<Self, ConfigError> {
        let info = parse_url(url.expose())?;
        #[cfg(feature = "rustls")]
        if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            install_crypto_provider();
        }
        let client = Client::open(info).map_err(|_| invalid_url())?;
        Ok(Self::build_with(client, Limits::default()))
    }

    fn build_with(client: Client, limits: Limits) -> Self {
        let links = (0..limits.connections).map(|_| Link::new(client.clone()));
        let shared = Arc::new(Shared {
            links: links.collect(),
            next: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
        });
        Self {
            client,
            limits,
            shared,
        }
    }

    /// Sets the certificate authorities to trust, as PEM text. Default: those of the operating
    /// system.
    ///
    /// For a server whose certificate comes from a private authority. Needs the feature `rustls`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `pem` holds no certificate.
    #[cfg(feature = "rustls")]
    pub fn with_root_certificates(self, pem: &[u8]) -> Result<Self, ConfigError> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let wrong = || {
            ConfigError::new(
                "root certificates",
                "hold no certificate that can be read",
                "use PEM text, from BEGIN CERTIFICATE to END CERTIFICATE, and a rediss:// URL",
            )
        };
        if !CertificateDer::pem_slice_iter(pem).any(|certificate| certificate.is_ok()) {
            return Err(wrong());
        }
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.to_vec()),
        };
        let info = self.client.get_connection_info().clone();
        let client = Client::build_with_tls(info, certificates).map_err(|_| wrong())?;
        Ok(Self::build_with(client, self.limits))
    }

    /// Sets the maximum time to wait for a connection, from the look-up of the name to the login.
    /// Default: one second.
    ///
    /// Use this and the other settings before creating stores. The returned server shares no
    /// connections with earlier clones and their stores.
    #[must_use]
    pub fn with_connect_timeout(self, limit: Duration) -> Self {
        self.with_limits(|limits| limits.connect = limit)
    }

    /// Sets the maximum time to wait for a reply on an open connection. Default: 500 ms.
    ///
    /// A longer time lets requests wait longer when the server is slow. When it passes, the call
    /// fails with `store-timeout`.
    #[must_use]
    pub fn with_response_timeout(self, limit: Duration) -> Self {
        self.with_limits(|limits| limits.response = limit)
    }

    /// Sets the number of connections. Default: two. Zero counts as one.
    ///
    /// Commands of many callers share one connection without waiting for each other. A second
    /// connection helps when a lost packet delays everything on the first one.
    #[must_use]
    pub fn with_connections(self, count: usize) -> Self {
        self.with_limits(|limits| limits.connections = count.max(1))
    }

    /// Sets the maximum number of commands in flight. Default: 1,024. Zero counts as one.
    ///
    /// Further commands fail at once with `store-busy`, and do not queue behind a slow server.
    #[must_use]
    pub fn with_max_in_flight(self, count: usize) -> Self {
        self.with_limits(|limits| limits.max_in_flight = count.max(1))
    }

    fn with_limits(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self::build_with(self.client, limits)
    }

    /// Sends a command on one of the connections and returns its reply.
    pub(crate) async fn run(&self, command: &Cmd) -> Result<Value, RedisStoreError> {
        let Shared {
            links,
            next,
            in_flight,
        } = &*self.shared;
        let _in_flight = InFlight::enter(in_flight, self.limits.max_in_flight)?;
        let turn = next.fetch_add(1, Ordering::Relaxed);
        links[turn % links.len()].run(command, &self.limits).await
    }

    /// Discards all connections after a reply that does not fit its command, because further
    /// replies may belong to other commands, too. Returns the error for that reply.
    pub(crate) fn discard_connections(&self) -> RedisStoreError {
        self.shared.links.iter().for_each(Link::reset);
        RedisStoreError::PROTOCOL
    }

    /// Returns host and port, without user and password.
    pub fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }
}

/// Counts a command as in flight until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    /// # Errors
    ///
    /// [`RedisStoreError::BUSY`] if `max` commands are in flight.
    fn enter(in_flight: &'a AtomicUsize, max: usize) -> Result<Self, RedisStoreError> {
        let more = |count| (count < max).then_some(count + 1);
        match in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Self(in_flight)),
            Err(_) => Err(RedisStoreError::BUSY),
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn parse_url(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let scheme = url.split("://").next().unwrap_or_default();
    if !matches!(scheme, "redis" | "rediss" | "valkey" | "valkeys") {
        return Err(invalid_url());
    }
    // The only fragment that the client knows, `#insecure`, switches verification off.
    if url.contains('#') {
        return Err(ConfigError::new(
            "url",
            "holds a fragment (`#…`); certificates are always verified",
            "remove it, write a `#` in a password as `%23`, and set a private authority with `with_root_certificates`",
        ));
    }
    let info = url.into_connection_info().map_err(|_| invalid_url())?;
    // RESP2 needs no handshake, and the stores use nothing that RESP3 adds.
    let redis = info.redis_settings().clone();
    let redis = redis
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

/// Installs ring as the process's crypto provider for rustls, unless the application has installed
/// one.
///
/// The Redis client uses the process's crypto provider. Where the dependencies of an application
/// bring two, rustls cannot choose and panics on connecting.
#[cfg(feature = "rustls")]
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread has installed one meanwhile.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Returns the error for a URL of another form. It shows no part of the URL, which may hold a
/// password.
fn invalid_url() -> ConfigError {
    let (problem, remedy) = if cfg!(feature = "rustls") {
        (
            "is not the address of a Redis server",
            "write redis://user:password@host:port/db, or rediss:// for TLS, with special characters percent-encoded",
        )
    } else {
        (
            "is not the address of a Redis server, or requires TLS",
            "write redis://user:password@host:port/db with special characters percent-encoded; rediss:// needs the feature `rustls`",
        )
    };
    ConfigError::new("url", problem, remedy)
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisClient")
            .field("address", &self.address())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_created_without_a_runtime_and_shows_no_password() {
        let url = Secret::new("redis://ada:hunter2@localhost:6380/3").unwrap();
        let server = RedisClient::new(&url).unwrap();
        let shown = format!("{server:?}");
        assert!(shown.contains("localhost:6380"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
    }

    #[test]
    fn an_invalid_url_is_refused_without_being_shown() {
        for url in [
            "hunter2",
            "http://:hunter2@localhost",
            "redis://:hunter2@localhost:port",
            "redis://:hunter2@localhost/db",
            "unix:///hunter2",
            "rediss://:hunter2@localhost/#insecure",
        ] {
            let error = RedisClient::new(&Secret::new(url).unwrap()).unwrap_err();
            assert_eq!(error.field(), "url", "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
