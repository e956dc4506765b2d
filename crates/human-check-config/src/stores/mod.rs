//! The parts of a deployment that outlive a reload: stores with their entries, and open files.

mod experiments;
mod keys;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod server;
mod sinks;

use std::sync::Arc;

use human_check_core::{ConfigError, ReplayStore};
use human_check_guard::{AttemptStore, MemoryAttemptStore, OfferKeys, ReportLimit};

use crate::context::Context;
use crate::diagnosis::{Finding, examine_claim, examine_count, examine_memory};
use crate::model::{Model, StoreKind, StoreTable};
pub(crate) use experiments::{Experiments, NextExperiment, Setup as ExperimentSetup};
use memory::CAPACITY;
pub(crate) use sinks::Sinks;

/// How many keys of experiments a process creates on a server in two days: one for each receipt that
/// completes.
#[cfg(feature = "redis")]
const EXPERIMENT_KEYS: u32 = 1_000_000;

/// How many accounts and months are counted in the memory of this process.
const OWN_COUNTS: usize = 10_000;

/// The stores of a deployment, created once.
#[derive(Debug)]
pub(crate) struct Stores {
    /// The store that claims tokens, if there is a `[replay_store]`.
    pub(crate) replay: Option<Arc<dyn ReplayStore>>,
    /// The store that claims offers which count once, if there is a `[replay_store]`. On a server it is
    /// the same store; in memory it is another one, which remembers longer.
    pub(crate) offers: Option<Arc<dyn ReplayStore>>,
    /// The store that counts requests.
    pub(crate) attempts: Arc<dyn AttemptStore>,
    /// The store in which all machines count the visitors of an experiment and the calls of accounts, if
    /// `[attempt_store]` is on a server. It has room of its own, which no flood of addresses takes.
    pub(crate) shared_counts: Option<Arc<dyn AttemptStore>>,
    /// The store in which this process counts the calls of accounts otherwise.
    pub(crate) own_counts: Arc<dyn AttemptStore>,
    /// The limit on reports of failed widgets.
    pub(crate) report_limit: ReportLimit,
    /// The key of offers where the configuration names none.
    pub(crate) random_keys: OfferKeys,
    /// The servers, by the table that names them.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    servers: Vec<(&'static str, server::Server)>,
    tables: (Option<StoreTable>, Option<StoreTable>),
}

impl Stores {
    /// Creates stores without a replay store and without room for attempts.
    pub(crate) fn none() -> Self {
        Self {
            replay: None,
            offers: None,
            attempts: Arc::new(MemoryAttemptStore::new(0)),
            shared_counts: None,
            own_counts: Arc::new(MemoryAttemptStore::new(OWN_COUNTS)),
            report_limit: ReportLimit::default(),
            random_keys: OfferKeys::random(),
            #[cfg(any(feature = "postgres", feature = "redis"))]
            servers: Vec::new(),
            tables: (None, None),
        }
    }

    /// Creates the stores that the model describes. It connects to no server.
    pub(crate) fn open(context: &Context<'_>, model: &Model) -> Result<Self, ConfigError> {
        let mut stores = Self::none();
        if let Some(table) = &model.replay_store {
            let replay = stores.open_replay(context, table)?;
            stores.offers = Some(match table.kind {
                StoreKind::Memory => memory::offers(),
                StoreKind::Redis | StoreKind::Postgres => Arc::clone(&replay),
            });
            stores.replay = Some(replay);
        }
        stores.attempts = match &model.attempt_store {
            None => Arc::new(MemoryAttemptStore::new(CAPACITY)),
            Some(table) => stores.open_attempts(context, table)?,
        };
        stores.tables = (model.replay_store.clone(), model.attempt_store.clone());
        Ok(stores)
    }

    /// Creates the store of `[replay_store]`.
    fn open_replay(
        &mut self,
        context: &Context<'_>,
        table: &StoreTable,
    ) -> Result<Arc<dyn ReplayStore>, ConfigError> {
        match table.kind {
            StoreKind::Memory => memory::replay(context, table),
            #[cfg(feature = "redis")]
            StoreKind::Redis => {
                let (server, secret) = redis::open(context, "replay_store", table)?;
                let mut store = human_check_redis::RedisReplayStore::new(&server, &secret);
                if let Some(prefix) = &table.prefix {
                    store = store.with_prefix(prefix);
                }
                let replicas = table.replicas.unwrap_or(0);
                store = store.with_replicas(replicas);
                self.servers
                    .push(("replay_store", server::Server::Redis(server, replicas)));
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "redis"))]
            StoreKind::Redis => Err(built_without(context, "replay_store.kind", "redis")),
            #[cfg(feature = "postgres")]
            StoreKind::Postgres => {
                let store = postgres::open(context, table)?;
                let server = server::Server::Postgres(store.clone());
                self.servers.push(("replay_store", server));
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "postgres"))]
            StoreKind::Postgres => Err(built_without(context, "replay_store.kind", "postgres")),
        }
    }

    /// Creates the store of `[attempt_store]`.
    fn open_attempts(
        &mut self,
        context: &Context<'_>,
        table: &StoreTable,
    ) -> Result<Arc<dyn AttemptStore>, ConfigError> {
        match table.kind {
            StoreKind::Memory => memory::attempts(context, table),
            #[cfg(feature = "redis")]
            StoreKind::Redis => {
                let (server, secret) = redis::open(context, "attempt_store", table)?;
                let mut store = human_check_redis::RedisAttemptStore::new(&server, &secret);
                let mut counts = human_check_redis::RedisAttemptStore::new(&server, &secret)
                    .with_max_keys(EXPERIMENT_KEYS);
                if let Some(capacity) = table.capacity {
                    store = store.with_max_keys(u32::try_from(capacity).unwrap_or(u32::MAX));
                }
                if let Some(prefix) = &table.prefix {
                    store = store.with_prefix(prefix);
                    counts = counts.with_prefix(prefix);
                }
                self.shared_counts = Some(Arc::new(counts));
                self.servers
                    .push(("attempt_store", server::Server::Redis(server, 0)));
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "redis"))]
            StoreKind::Redis => Err(built_without(context, "attempt_store.kind", "redis")),
            StoreKind::Postgres => Err(context.wrong(
                &"attempt_store.kind".into(),
                "is postgres, and PostgreSQL stores claims only",
                "write \"memory\" to count in each process, or \"redis\"",
            )),
        }
    }

    /// Returns the store in which the calls of accounts are counted, and whether all machines share it.
    pub(crate) fn counts(&self) -> (&Arc<dyn AttemptStore>, bool) {
        match &self.shared_counts {
            Some(shared) => (shared, true),
            None => (&self.own_counts, false),
        }
    }

    /// Inspects the servers' settings in the background, if it is called inside of a tokio runtime.
    /// The warnings are logged.
    pub(crate) fn inspect_at_start(&self) {
        #[cfg(any(feature = "postgres", feature = "redis"))]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for (_, server) in self.servers.clone() {
                drop(runtime.spawn(async move { server.inspect().await }));
            }
        }
    }

    /// Inspects the servers' settings and returns the warnings.
    pub(crate) async fn inspect(&self) -> Vec<String> {
        #[cfg_attr(not(any(feature = "postgres", feature = "redis")), allow(unused_mut))]
        let mut warnings: Vec<String> = Vec::new();
        #[cfg(any(feature = "postgres", feature = "redis"))]
        for (_, server) in &self.servers {
            warnings.extend(server.inspect().await);
        }
        // Both stores may be on one server.
        warnings.sort();
        warnings.dedup();
        warnings
    }

    /// Examines the stores: it claims a token that no provider has issued, and counts one request.
    pub(crate) async fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        #[cfg(any(feature = "postgres", feature = "redis"))]
        for (part, server) in &self.servers {
            findings.extend(server.examine(part).await);
        }
        if let Some(replay) = &self.replay {
            findings.push(examine_claim(&**replay, self.claims_to_try()).await);
        }
        if self.tables.1.is_some() {
            findings.push(examine_count(&*self.attempts).await);
        }
        for (part, table) in [
            ("replay_store", &self.tables.0),
            ("attempt_store", &self.tables.1),
        ] {
            if table
                .as_ref()
                .is_some_and(|table| table.kind == StoreKind::Memory)
            {
                findings.push(examine_memory(part));
            }
        }
        findings
    }

    /// Returns how many claims tell whether the replay store works.
    fn claims_to_try(&self) -> usize {
        #[cfg(any(feature = "postgres", feature = "redis"))]
        if let Some((_, server)) = self
            .servers
            .iter()
            .find(|(part, _)| *part == "replay_store")
        {
            return server.claims_to_try();
        }
        1
    }

    /// Refuses a configuration that would change the stores. A new store would hold no entries, and
    /// each token would pass once more.
    pub(crate) fn still_fit(
        &self,
        context: &Context<'_>,
        model: &Model,
    ) -> Result<(), ConfigError> {
        let changed = match () {
            () if model.replay_store != self.tables.0 => "replay_store",
            () if model.attempt_store != self.tables.1 => "attempt_store",
            () => return Ok(()),
        };
        Err(context.wrong(
            &changed.into(),
            "was changed while the program runs, and the store's entries would be lost",
            "restart the program to change it, or undo the change",
        ))
    }
}

/// Creates the error about a store on a server in a program that was built without its feature.
#[cfg(not(all(feature = "postgres", feature = "redis")))]
fn built_without(context: &Context<'_>, path: &'static str, feature: &str) -> ConfigError {
    context.wrong(
        &path.into(),
        format!("is {feature}, and this program was built without it"),
        format!("write \"memory\", or build the program with the feature `{feature}`"),
    )
}
