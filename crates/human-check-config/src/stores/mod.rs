//! What outlives a reload: tokens and attempts that were counted, and files that are open.

mod memory;
#[cfg(feature = "redis")]
mod server;
mod sinks;

use std::sync::Arc;

use human_check_core::{ConfigError, ReplayStore};
use human_check_guard::{AttemptStore, MemoryAttemptStore};

use crate::context::Context;
use crate::model::{Model, StoreKind, StoreTable};
use memory::CAPACITY;
pub(crate) use sinks::Sinks;

/// The stores of a deployment, made once.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) replay: Option<Arc<dyn ReplayStore>>,
    pub(crate) attempts: Arc<dyn AttemptStore>,
    #[cfg(feature = "redis")]
    servers: Vec<human_check_redis::RedisServer>,
    tables: (Option<StoreTable>, Option<StoreTable>),
}

impl Stores {
    /// No stores at all, for reading a file that names some.
    pub(crate) fn none() -> Self {
        Self {
            replay: None,
            attempts: Arc::new(MemoryAttemptStore::new(0)),
            #[cfg(feature = "redis")]
            servers: Vec::new(),
            tables: (None, None),
        }
    }

    pub(crate) fn open(context: &Context<'_>, model: &Model) -> Result<Self, ConfigError> {
        let mut stores = Self::none();
        if let Some(table) = &model.replay_store {
            stores.replay = Some(stores.open_replay(context, table)?);
        }
        stores.attempts = match &model.attempt_store {
            None => Arc::new(MemoryAttemptStore::new(CAPACITY)),
            Some(table) => stores.open_attempts(context, table)?,
        };
        stores.tables = (model.replay_store.clone(), model.attempt_store.clone());
        Ok(stores)
    }

    fn open_replay(
        &mut self,
        context: &Context<'_>,
        table: &StoreTable,
    ) -> Result<Arc<dyn ReplayStore>, ConfigError> {
        match table.kind {
            StoreKind::Memory => memory::replay(context, table),
            #[cfg(feature = "redis")]
            StoreKind::Redis => {
                let (server, secret) = server::open(context, "replay_store", table)?;
                let mut store = human_check_redis::RedisReplayStore::new(&server, &secret);
                if let Some(prefix) = &table.prefix {
                    store = store.with_prefix(prefix);
                }
                self.servers.push(server);
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "redis"))]
            StoreKind::Redis => Err(built_without(context, "replay_store.kind")),
        }
    }

    fn open_attempts(
        &mut self,
        context: &Context<'_>,
        table: &StoreTable,
    ) -> Result<Arc<dyn AttemptStore>, ConfigError> {
        match table.kind {
            StoreKind::Memory => memory::attempts(context, table),
            #[cfg(feature = "redis")]
            StoreKind::Redis => {
                let (server, secret) = server::open(context, "attempt_store", table)?;
                let mut store = human_check_redis::RedisAttemptStore::new(&server, &secret);
                if let Some(prefix) = &table.prefix {
                    store = store.with_prefix(prefix);
                }
                self.servers.push(server);
                Ok(Arc::new(store))
            }
            #[cfg(not(feature = "redis"))]
            StoreKind::Redis => Err(built_without(context, "attempt_store.kind")),
        }
    }

    /// Inspects the servers' settings in the background, where there is a runtime to do it. The warnings
    /// are logged.
    pub(crate) fn inspect_at_start(&self) {
        #[cfg(feature = "redis")]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for server in self.servers.clone() {
                drop(runtime.spawn(async move { server.inspect().await.map(drop) }));
            }
        }
    }

    pub(crate) async fn inspect(&self) -> Vec<String> {
        #[cfg_attr(not(feature = "redis"), allow(unused_mut))]
        let mut warnings: Vec<String> = Vec::new();
        #[cfg(feature = "redis")]
        for server in &self.servers {
            match server.inspect().await {
                Ok(found) => warnings.extend(found.iter().map(ToString::to_string)),
                Err(error) => {
                    let reason = error.reason();
                    warnings.push(format!("the store's server cannot be inspected ({reason})"));
                }
            }
        }
        // Both stores may be on one server.
        warnings.sort();
        warnings.dedup();
        warnings
    }

    /// Refuses a configuration that would change the stores. A store that is swapped forgets what it
    /// counted, and then every token passes once more.
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

#[cfg(not(feature = "redis"))]
fn built_without(context: &Context<'_>, path: &'static str) -> ConfigError {
    context.wrong(
        &path.into(),
        "is redis, and this program was built without it",
        "write \"memory\", or build the program with the feature `redis`",
    )
}
