use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use human_check_core::{ConfigError, Secret};
use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, Value};
use tokio::sync::Semaphore;

use crate::error::RedisStoreError;
use crate::limits::Limits;
use crate::link::Link;

/// A Redis or Valkey server, version 6 or later, that stores share.
///
/// Made without a server and outside a runtime; connects when it is first asked and again after
/// a connection broke. Clones share connections.
///
/// A command is written at most once. It ends within the connect and the response timeout
/// together, whatever the server does, and what ends without a reply may have been done or not.
#[derive(Clone)]
pub struct RedisServer {
    client: Client,
    limits: Limits,
    shared: Arc<Shared>,
}

struct Shared {
    links: Box<[Link]>,
    next: AtomicUsize,
    in_flight: Semaphore,
}

impl RedisServer {
    /// The server at `redis://user:password@host:port/db`, or `rediss://` for TLS.
    ///
    /// The URL is a secret since it usually holds a password. It is never shown; host and port are.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it cannot be read, asks for TLS without verification, or for TLS
    /// without the feature `rustls`.
    pub fn new(url: &Secret) -> Result<Self, ConfigError> {
        let info = read(url.expose())?;
        #[cfg(feature = "rustls")]
        if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
            choose_provider();
        }
        let client = Client::open(info).map_err(|_| unreadable())?;
        Ok(Self::build_with(client, Limits::default()))
    }

    fn build_with(client: Client, limits: Limits) -> Self {
        let links = (0..limits.connections).map(|_| Link::new(client.clone()));
        let shared = Arc::new(Shared {
            links: links.collect(),
            next: AtomicUsize::new(0),
            in_flight: Semaphore::new(limits.in_flight),
        });
        Self {
            client,
            limits,
            shared,
        }
    }

    /// Trusts the certificates in `pem` instead of the operating system's.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is none in it.
    #[cfg(feature = "rustls")]
    pub fn with_root_certificates(self, pem: &[u8]) -> Result<Self, ConfigError> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let wrong = || {
            ConfigError::new(
                "root certificates",
                "hold no certificate that can be read",
                "give PEM text, from BEGIN CERTIFICATE to END CERTIFICATE, and a rediss:// URL",
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

    /// How long to wait for a connection, from the look-up of the name to the login: one second
    /// unless said otherwise.
    ///
    /// This and the other settings are for before the first store is made: what they return
    /// shares nothing with earlier clones.
    #[must_use]
    pub fn with_connect_timeout(self, limit: Duration) -> Self {
        self.limited(|limits| limits.connect = limit)
    }

    /// How long to wait for a reply: half a second unless said otherwise.
    #[must_use]
    pub fn with_response_timeout(self, limit: Duration) -> Self {
        self.limited(|limits| limits.response = limit)
    }

    /// How many connections to use, two unless said otherwise, at least one.
    ///
    /// Commands of all callers share a connection without waiting for each other, so one would do
    /// for speed. The second is there for the lost packet that holds up everything behind it.
    #[must_use]
    pub fn with_connections(self, count: usize) -> Self {
        self.limited(|limits| limits.connections = count.max(1))
    }

    /// How many commands may be under way, 1,024 unless said otherwise, at least one. More are
    /// refused at once (`store-busy`) instead of queueing behind a slow server.
    #[must_use]
    pub fn with_max_in_flight(self, count: usize) -> Self {
        self.limited(|limits| limits.in_flight = count.clamp(1, Semaphore::MAX_PERMITS))
    }

    fn limited(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self::build_with(self.client, limits)
    }

    pub(crate) async fn ask(&self, command: &Cmd) -> Result<Value, RedisStoreError> {
        let Shared {
            links,
            next,
            in_flight,
        } = &*self.shared;
        let _permit = in_flight.try_acquire().map_err(|_| RedisStoreError::BUSY)?;
        let turn = next.fetch_add(1, Ordering::Relaxed);
        links[turn % links.len()].ask(command, &self.limits).await
    }

    /// A reply that is none to the command. Replies on this server's connections may be out of
    /// step with what was asked, so none of them is used again.
    pub(crate) fn mistrust(&self) -> RedisStoreError {
        self.shared.links.iter().for_each(Link::reset);
        RedisStoreError::PROTOCOL
    }

    /// Where it is, without user and password.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }
}

fn read(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let scheme = url.split("://").next().unwrap_or_default();
    if !matches!(scheme, "redis" | "rediss" | "valkey" | "valkeys") {
        return Err(unreadable());
    }
    // The one fragment the client knows switches verification off.
    if url.contains('#') {
        return Err(ConfigError::new(
            "url",
            "holds a fragment (`#…`); certificates are always verified",
            "leave it out, write a `#` in a password as `%23`, and name your own authority with `with_root_certificates`",
        ));
    }
    let info = url.into_connection_info().map_err(|_| unreadable())?;
    // RESP2 needs no handshake, and nothing here needs what RESP3 adds.
    let redis = info.redis_settings().clone();
    let redis = redis
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

/// The client takes the process's provider. rustls cannot choose one where an application's
/// dependencies bring two, and would panic on connecting.
#[cfg(feature = "rustls")]
fn choose_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever came first in between has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Says nothing of the URL, which may hold a password.
fn unreadable() -> ConfigError {
    let (problem, remedy) = if cfg!(feature = "rustls") {
        (
            "is not the address of a Redis server",
            "write redis://user:password@host:port/db, or rediss:// for TLS, with special characters percent-encoded",
        )
    } else {
        (
            "is not the address of a Redis server, or asks for TLS",
            "write redis://user:password@host:port/db with special characters percent-encoded; rediss:// needs the feature `rustls`",
        )
    };
    ConfigError::new("url", problem, remedy)
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("address", &self.address())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_without_a_runtime_and_shows_no_password() {
        let url = Secret::new("redis://ada:hunter2@localhost:6380/3").unwrap();
        let server = RedisServer::new(&url).unwrap();
        let shown = format!("{server:?}");
        assert!(shown.contains("localhost:6380"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("ada"),
            "{shown}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_being_shown() {
        for url in [
            "hunter2",
            "http://:hunter2@localhost",
            "redis://:hunter2@localhost:port",
            "redis://:hunter2@localhost/db",
            "unix:///hunter2",
            "rediss://:hunter2@localhost/#insecure",
        ] {
            let error = RedisServer::new(&Secret::new(url).unwrap()).unwrap_err();
            assert_eq!(error.field(), "url", "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
