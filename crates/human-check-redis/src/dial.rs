use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, RedisResult, Value,
};

use crate::address::SentinelAddress;
use crate::error::{RedisStoreError, reply};

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
        if let Some(pem) = &self.roots {
            let certificates = redis::TlsCertificates {
                client_tls: None,
                root_cert: Some(pem.to_vec()),
            };
            return Client::build_with_tls(info, certificates);
        }
        Client::open(info)
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
    ) -> Result<MultiplexedConnection, RedisStoreError> {
        match self {
            Self::Server(client) => connect(client, config).await,
            Self::Sentinel(of, trust) => {
                let client = primary(of, trust, config).await?;
                connect(&client, config).await
            }
        }
    }
}

async fn connect(
    client: &Client,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisStoreError> {
    let connection = client.get_multiplexed_async_connection_with_config(config);
    let connection = connection.await;
    connection.map_err(|error| RedisStoreError::from_client(&error))
}

/// Asks the sentinels for the primary. The first one that names it decides, so a silent one delays
/// nothing. The Redis client's own search waits for the first sentinel of the list.
///
/// A server that is no primary any more accepts no writes, and the next connection asks again.
async fn primary(
    of: &SentinelAddress,
    trust: &Trust,
    config: &AsyncConnectionConfig,
) -> Result<Client, RedisStoreError> {
    let mut replies = FuturesUnordered::new();
    for sentinel in &of.sentinels {
        replies.push(address(sentinel, &of.primary, trust, config));
    }
    let mut failed = RedisStoreError::NO_PRIMARY;
    while let Some(named) = replies.next().await {
        match named {
            Ok((host, port)) => {
                let client = trust.client(of.server.clone().set_addr(at(&of.server, host, port)));
                return client.map_err(|error| RedisStoreError::from_client(&error));
            }
            // What the operator must change is said rather than what may pass.
            Err(error) if !failed.is_refused() => failed = error.of_a_sentinel(),
            Err(_) => {}
        }
    }
    Err(failed)
}

/// Asks one sentinel for host and port of the primary.
async fn address(
    sentinel: &ConnectionInfo,
    primary: &str,
    trust: &Trust,
    config: &AsyncConnectionConfig,
) -> Result<(String, u16), RedisStoreError> {
    let client = trust.client(sentinel.clone());
    let client = client.map_err(|error| RedisStoreError::from_client(&error))?;
    let mut connection = connect(&client, config).await?;
    let mut ask = Cmd::new();
    ask.arg("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(primary);
    let value = connection.send_packed_command(&ask).await;
    let value = reply(value.map_err(|error| RedisStoreError::from_client(&error))?)?;
    let text = |value: &Value| match value {
        Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
        _ => None,
    };
    match &value {
        Value::Nil => Err(RedisStoreError::NO_PRIMARY),
        Value::Array(pair) => match &pair[..] {
            [host, port] => text(host)
                .zip(text(port).and_then(|port| port.parse().ok()))
                .ok_or(RedisStoreError::PROTOCOL),
            _ => Err(RedisStoreError::PROTOCOL),
        },
        _ => Err(RedisStoreError::PROTOCOL),
    }
}

/// Returns an address with TLS if that of `like` has it.
pub(crate) fn at(like: &ConnectionInfo, host: String, port: u16) -> ConnectionAddr {
    match like.addr() {
        ConnectionAddr::TcpTls { tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}
