//! The servers of the stores, which are inspected at the start and examined by `doctor`.

use crate::diagnosis::Finding;
#[cfg(feature = "postgres")]
use crate::diagnosis::examine_postgres;
#[cfg(feature = "redis")]
use crate::diagnosis::{examine_redis, missing_replicas};

/// The server of a store, or its cluster.
#[derive(Clone, Debug)]
pub(super) enum Server {
    /// With how many replicas must have a claim.
    #[cfg(feature = "redis")]
    Redis(human_check_redis::RedisClient, u32),
    #[cfg(feature = "postgres")]
    Postgres(human_check_postgres::PostgresReplayStore),
}

impl Server {
    /// Inspects the server, logs what breaks a guarantee of the stores, and returns it.
    pub(super) async fn inspect(&self) -> Vec<String> {
        let unknown = |address: String, error: &dyn std::error::Error| {
            let error = error.to_string();
            tracing::warn!(target: "human_check", server = address, error, "the server of a store cannot be inspected");
            vec![format!("{address} cannot be inspected ({error})")]
        };
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(client, replicas) => match client.inspect().await {
                Ok(servers) => {
                    let of_server = |server: &human_check_redis::ServerReport| {
                        let address = &server.address;
                        let warnings = server.warnings.iter();
                        let warnings = warnings.map(|warning| format!("{address}: {warning}"));
                        let missing = missing_replicas(server, *replicas);
                        let missing = missing.map(|(text, remedy)| format!("{text}; {remedy}"));
                        warnings.chain(missing).collect::<Vec<_>>()
                    };
                    servers.iter().flat_map(of_server).collect()
                }
                Err(error) => unknown(client.address(), &error),
            },
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => match store.inspect().await {
                Ok(report) => {
                    let address = store.address();
                    let warnings = report.warnings.iter();
                    warnings
                        .map(|warning| format!("{address}: {warning}"))
                        .collect()
                }
                Err(error) => unknown(store.address(), &error),
            },
        }
    }

    /// Examines the server of the table `part`.
    pub(super) async fn examine(&self, part: &str) -> Vec<Finding> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(client, replicas) => examine_redis(part, client, *replicas).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => examine_postgres(part, store).await,
        }
    }

    /// Returns how many claims tell whether all servers take some: each goes to one primary of a
    /// cluster.
    pub(super) fn claims_to_try(&self) -> usize {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(client, _) if client.is_cluster() => 32,
            _ => 1,
        }
    }
}
