use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use human_check_core::{ConfigError, Secret};
use redis::Cmd;

use crate::address::{Address, invalid};
use crate::cluster::Cluster;
use crate::dial::{Dial, Trust};
use crate::error::RedisStoreError;
use crate::key::Key;
use crate::limits::Limits;
use crate::node::Node;
use crate::request::{Reply, Request};

/// The connections to Redis or Valkey, version 6 or later, for [`RedisReplayStore`] and
/// [`RedisAttemptStore`]: to one server, to a cluster, or to the primary that Sentinel names.
///
/// It can be created outside of a runtime. It connects when it is first used, and again after a
/// connection broke. Clones and stores share its connections. Change its settings before creating
/// stores.
///
/// Every call ends within the connect timeout and the response timeout together. A command is
/// written at most once to the server that does it: a node of a cluster that redirects a command has
/// not done it. When a call ends without a reply, or its future is dropped, the command was done or
/// not.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_core::Secret;
/// use human_check_redis::RedisClient;
///
/// let url = Secret::new("redis://human-check:a-password@redis.internal:6379")?;
/// let client = RedisClient::new(&url)?.with_response_timeout(Duration::from_millis(200));
/// assert!(!format!("{client:?}").contains("a-password"));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// [`RedisReplayStore`]: crate::RedisReplayStore
/// [`RedisAttemptStore`]: crate::RedisAttemptStore
///
/// See docs/how-to/multi-node.md#the-server.
#[derive(Clone)]
pub struct RedisClient {
    address: Address,
    trust: Trust,
    limits: Limits,
    shared: Arc<Shared>,
}

struct Shared {
    servers: Servers,
    in_flight: AtomicUsize,
}

/// The servers that commands go to.
enum Servers {
    One(Arc<Node>),
    Cluster(Arc<Cluster>),
}

/// The longest time limit. Sums of limits fit into the clock.
const MAX_LIMIT: Duration = Duration::from_secs(3_600);

impl RedisClient {
    /// Creates a client from a URL:
    ///
    /// | URL | for |
    /// | --- | --- |
    /// | `redis://user:password@host:port/db` | one server |
    /// | `redis-cluster://user:password@host:port,host:port` | a cluster. Name two nodes or more; they tell the others |
    /// | `redis-sentinel://user:password@host:port,host:port/db?primary=name` | the primary that the sentinels at these hosts name. User, password and database are those of the servers. Sentinels with a login of their own: `&sentinel_user=…&sentinel_password=…` |
    ///
    /// `rediss`, `rediss-cluster` and `rediss-sentinel` are the same with TLS. `valkey` may stand
    /// for `redis`. User, password, ports and database are optional. The URL is a secret because it
    /// may hold a password: `Debug`, errors and logs show hosts and ports only. Opens no connection.
    ///
    /// ```
    /// use human_check_core::Secret;
    /// use human_check_redis::RedisClient;
    ///
    /// let url = "redis-sentinel://:a-password@10.0.0.1,10.0.0.2,10.0.0.3?primary=human-check";
    /// let client = RedisClient::new(&Secret::new(url)?)?;
    /// assert_eq!(
    ///     client.address(),
    ///     "human-check at 10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379"
    /// );
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the URL is not of one of these forms, holds a fragment (`#…`), or needs
    /// TLS without the feature `rustls`.
    pub fn new(url: &Secret) -> Result<Self, ConfigError> {
        let address = Address::parse(url.expose())?;
        if address.is_tls() {
            #[cfg(feature = "rustls")]
            install_crypto_provider();
            #[cfg(not(feature = "rustls"))]
            return Err(invalid());
        }
        Self::build_with(address, Trust::default(), Limits::default())
    }

    fn build_with(address: Address, trust: Trust, limits: Limits) -> Result<Self, ConfigError> {
        let one = |dial| {
            let node = Node::new(address.shown(), dial, &limits);
            Servers::One(Arc::new(node))
        };
        let servers = match &address {
            Address::Server(info) => {
                let client = trust.client(info.clone()).map_err(|_| invalid())?;
                one(Dial::Server(Box::new(client)))
            }
            Address::Sentinel(of) => one(Dial::Sentinel(Box::new(of.clone()), trust.clone())),
            Address::Cluster(seeds) => {
                let cluster = Cluster::new(seeds.clone(), trust.clone(), limits);
                Servers::Cluster(Arc::new(cluster))
            }
        };
        let shared = Arc::new(Shared {
            servers,
            in_flight: AtomicUsize::new(0),
        });
        Ok(Self {
            address,
            trust,
            limits,
            shared,
        })
    }

    /// Sets the certificate authorities to trust, as PEM text. Default: those of the operating
    /// system.
    ///
    /// For servers whose certificates come from a private authority. Needs the feature `rustls`.
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
        let trust = Trust {
            roots: Some(pem.into()),
        };
        Self::build_with(self.address, trust, self.limits).map_err(|_| wrong())
    }

    /// Sets the maximum time to wait for a connection, from the look-up of the name to the login.
    /// With Sentinel, the question for the primary is a part of it. Default: one second. At most one hour.
    ///
    /// Use this and the other settings before creating stores. The returned client shares no
    /// connections with earlier clones and their stores.
    #[must_use]
    pub fn with_connect_timeout(self, limit: Duration) -> Self {
        self.with_limits(|limits| limits.connect = limit.min(MAX_LIMIT))
    }

    /// Sets the maximum time to wait for a reply on an open connection. Default: 500 ms. At
    /// most one hour.
    ///
    /// A longer time lets requests wait longer when the server is slow. When it passes, the call
    /// fails with `store-timeout`.
    #[must_use]
    pub fn with_response_timeout(self, limit: Duration) -> Self {
        self.with_limits(|limits| limits.response = limit.min(MAX_LIMIT))
    }

    /// Sets the number of connections to each server. Default: two. Zero counts as one.
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
        match Self::build_with(self.address.clone(), self.trust.clone(), limits) {
            Ok(client) => client,
            // The same address and certificates were accepted before.
            Err(_) => self,
        }
    }

    /// Sends a command to the server that has the key, and returns its reply.
    pub(crate) async fn run(
        &self,
        request: Request<'_>,
        key: &Key<'_>,
    ) -> Result<Reply, RedisStoreError> {
        let _in_flight = self.enter()?;
        match &self.shared.servers {
            Servers::One(node) => settled(node.send(request, &self.limits).await?),
            Servers::Cluster(cluster) => cluster.send(request, key.slot()).await,
        }
    }

    /// Sends a command to one node and returns its reply.
    pub(crate) async fn run_on(
        &self,
        node: &Node,
        command: &Cmd,
    ) -> Result<redis::Value, RedisStoreError> {
        let _in_flight = self.enter()?;
        let reply = node.send(Request::new(command), &self.limits).await?;
        Ok(settled(reply)?.value)
    }

    /// Returns the servers that take writes.
    pub(crate) async fn primaries(&self) -> Result<Vec<Arc<Node>>, RedisStoreError> {
        match &self.shared.servers {
            Servers::One(node) => Ok(vec![Arc::clone(node)]),
            Servers::Cluster(cluster) => cluster.primaries().await,
        }
    }

    /// Returns whether there is one server without replicas that take over.
    pub(crate) fn is_one_server(&self) -> bool {
        matches!(self.address, Address::Server(_))
    }

    /// Returns whether the commands go to the nodes of a cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(_))
    }

    /// Returns how long a server waits for replicas, so that its reply comes within the response
    /// timeout.
    pub(crate) fn replica_timeout(&self) -> Duration {
        self.limits.response * 4 / 5
    }

    fn enter(&self) -> Result<InFlight<'_>, RedisStoreError> {
        InFlight::enter(&self.shared.in_flight, self.limits.max_in_flight)
    }

    /// Discards all connections after a reply that does not fit its command, because further
    /// replies may belong to other commands, too. Returns the error for that reply.
    pub(crate) fn discard_connections(&self) -> RedisStoreError {
        match &self.shared.servers {
            Servers::One(node) => node.discard_connections(),
            Servers::Cluster(cluster) => cluster.discard_connections(),
        }
        RedisStoreError::PROTOCOL
    }

    /// Returns hosts and ports, without user and password.
    pub fn address(&self) -> String {
        self.address.shown()
    }
}

/// Converts a redirection, which only a cluster can follow, to an error.
fn settled(reply: Reply) -> Result<Reply, RedisStoreError> {
    match &reply.value {
        redis::Value::ServerError(error) => Err(RedisStoreError::from_server(error)),
        _ => Ok(reply),
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
    fn a_client_is_created_without_a_runtime_and_shows_no_password() {
        for url in [
            "redis://ada:hunter2@localhost:6380/3",
            "redis-cluster://ada:hunter2@localhost:6380,b",
            "redis-sentinel://ada:hunter2@localhost:6380?primary=m&sentinel_password=hunter2",
        ] {
            let client = RedisClient::new(&Secret::new(url).unwrap()).unwrap();
            let shown = format!("{client:?}");
            assert!(shown.contains("localhost:6380"), "{shown}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("ada"),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_invalid_url_is_refused() {
        let error = RedisClient::new(&Secret::new("http://localhost").unwrap()).unwrap_err();
        assert_eq!(error.field(), "url");
    }
}
