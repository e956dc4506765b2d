use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ProtocolVersion, RedisResult};

use crate::address::SentinelAddress;

/// The certificate authorities that connections trust.
#[derive(Clone, Default)]
pub(crate) struct Trust {
    /// PEM text. `None` for the authorities of the operating system.
    #[cfg(feature = "rustls")]
    pub(crate) roots: Option<std::sync::Arc<[u8]>>,
}

impl Trust {
    /// Returns the Redis client for one server.
    pub(crate) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        #[cfg(feature = "rustls")]
        if let Some(certificates) = self.certificates() {
            return Client::build_with_tls(info, certificates);
        }
        Client::open(info)
    }

    #[cfg(feature = "rustls")]
    fn certificates(&self) -> Option<redis::TlsCertificates> {
        self.roots.as_ref().map(|pem| redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.to_vec()),
        })
    }
}

/// What a connection is opened to.
pub(crate) enum Dial {
    /// One server.
    Server(Box<Client>),
    /// The primary that the sentinels name now.
    Sentinel(Box<SentinelAddress>, Trust),
}

impl Dial {
    /// Opens a connection. The caller limits the time.
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        match self {
            Self::Server(client) => {
                client
                    .get_multiplexed_async_connection_with_config(config)
                    .await
            }
            Self::Sentinel(address, trust) => {
                let client = primary(address, trust).await?;
                client
                    .get_multiplexed_async_connection_with_config(config)
                    .await
            }
        }
    }
}

/// Asks the sentinels for the primary, three at a time, and the primary for its role.
async fn primary(of: &SentinelAddress, trust: &Trust) -> RedisResult<Client> {
    let sentinels = of.sentinels.iter();
    let login = of.sentinels[0].redis_settings();
    let server = of.server.redis_settings();
    let mut builder = SentinelClientBuilder::new(
        sentinels.map(|sentinel| sentinel.addr().clone()),
        &of.primary,
        SentinelServerType::Master,
    )?
    .set_client_to_redis_db(server.db())
    .set_client_to_redis_protocol(ProtocolVersion::RESP2)
    .set_client_to_redis_tcp_settings(of.server.tcp_settings().clone())
    .set_client_to_sentinel_protocol(ProtocolVersion::RESP2);
    if let Some(user) = server.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = server.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let Some(user) = login.username() {
        builder = builder.set_client_to_sentinel_username(user);
    }
    if let Some(password) = login.password() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let redis::ConnectionAddr::TcpTls { .. } = of.server.addr() {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        #[cfg(feature = "rustls")]
        if let Some(certificates) = trust.certificates() {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
    }
    #[cfg(not(feature = "rustls"))]
    let Trust {} = trust;
    builder.build()?.async_get_client().await
}
