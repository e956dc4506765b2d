//! The servers of the stores, which are inspected at the start and examined by `doctor`.

use crate::diagnosis::Finding;
#[cfg(feature = "postgres")]
use crate::diagnosis::examine_postgres;
#[cfg(feature = "redis")]
use crate::diagnosis::examine_redis;

/// The server of a store, or its cluster.
#[derive(Clone, Debug)]
pub(super) enum Server {
    #[cfg(feature = "redis")]
    Redis(human_check_redis::RedisClient),
    #[cfg(feature = "postgres")]
    Postgres(human_check_postgres::PostgresReplayStore),
}

impl Server {
    /// Inspects the server, logs what breaks a guarantee of the stores, and returns it.
    pub(super) async fn inspect(&self) -> Vec<String> {
        let unknown = |reason| vec![format!("the store's server cannot be inspected ({reason})")];
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(client) => match client.inspect().await {
                Ok(servers) => {
                    let of_servers = servers.iter().flat_map(|server| &server.warnings);
                    of_servers.map(ToString::to_string).collect()
                }
                Err(error) => unknown(error.reason()),
            },
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => match store.inspect().await {
                Ok(report) => report.warnings.iter().map(ToString::to_string).collect(),
                Err(error) => unknown(error.reason()),
            },
        }
    }

    /// Examines the server of the table `part`.
    pub(super) async fn examine(&self, part: &str) -> Vec<Finding> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(client) => examine_redis(part, client).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => examine_postgres(part, store).await,
        }
    }
}
