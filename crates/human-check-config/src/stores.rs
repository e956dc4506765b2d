//! What outlives a reload: tokens and attempts that were counted, and files that are open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use human_check_compare::JsonLines;
use human_check_core::{Comparison, ComparisonSink, ConfigError, MemorySpent, Secret, SpentTokens};
use human_check_guard::{AttemptStore, MemoryAttempts};
use human_check_redis::{RedisAttempts, RedisServer, RedisSpent};

use crate::compose::Surroundings;
use crate::model::{Model, StoreKind, StoreTable};

/// The stores of a deployment, made once.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) spent: Option<Arc<dyn SpentTokens>>,
    pub(crate) attempts: Arc<dyn AttemptStore>,
    servers: Vec<RedisServer>,
    tables: (Option<StoreTable>, Option<StoreTable>),
}

impl Stores {
    /// None at all, for reading a file that names some.
    pub(crate) fn none() -> Self {
        Self {
            spent: None,
            attempts: Arc::new(MemoryAttempts::new(0)),
            servers: Vec::new(),
            tables: (None, None),
        }
    }

    pub(crate) fn open(around: &Surroundings<'_>, model: &Model) -> Result<Self, ConfigError> {
        let spent = model.single_use.as_ref();
        let attempts = model.attempts.as_ref();
        let mut servers = Vec::new();
        let mut open = |table| open_spent(around, table, &mut servers);
        Ok(Self {
            spent: spent.map(&mut open).transpose()?,
            attempts: match attempts {
                None => Arc::new(MemoryAttempts::new(CAPACITY)),
                Some(table) => open_attempts(around, table, &mut servers)?,
            },
            servers,
            tables: (model.single_use.clone(), model.attempts.clone()),
        })
    }

    /// Looks at the servers' settings in the background, where there is a runtime to do it. What is
    /// found is logged.
    pub(crate) fn inspect_at_start(&self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            for server in self.servers.clone() {
                drop(runtime.spawn(async move { server.inspect().await.map(drop) }));
            }
        }
    }

    pub(crate) async fn inspect(&self) -> Vec<String> {
        let mut told = Vec::new();
        for server in &self.servers {
            match server.inspect().await {
                Ok(findings) => told.extend(findings.iter().map(ToString::to_string)),
                Err(trouble) => {
                    let reason = trouble.reason();
                    told.push(format!("the store's server cannot be asked ({reason})"));
                }
            }
        }
        // Both stores may be on one server.
        told.sort();
        told.dedup();
        told
    }

    /// Refuses a file that would change them. A store that is swapped forgets what it counted, and
    /// then every token passes once more.
    pub(crate) fn still_fit(
        &self,
        around: &Surroundings<'_>,
        model: &Model,
    ) -> Result<(), ConfigError> {
        let changed = match () {
            () if model.single_use != self.tables.0 => "single_use",
            () if model.attempts != self.tables.1 => "attempts",
            () => return Ok(()),
        };
        Err(around.wrong(
            changed,
            "was changed while the program runs, and what the store remembers would be lost",
            "restart the program to change it, or undo the change",
        ))
    }
}

const CAPACITY: usize = 1_000_000;

fn capacity(
    around: &Surroundings<'_>,
    path: &str,
    table: &StoreTable,
) -> Result<usize, ConfigError> {
    let server = [
        ("url", table.url.is_some()),
        ("digest_secret", table.digest_secret.is_some()),
        ("prefix", table.prefix.is_some()),
    ];
    if let Some((key, _)) = server.iter().find(|(_, given)| *given) {
        return Err(around.wrong(
            &format!("{path}.{key}"),
            "means nothing for a store in memory",
            "leave it out, or write store = \"redis\"",
        ));
    }
    match table.capacity {
        Some(0) => Err(around.wrong(
            &format!("{path}.capacity"),
            "is zero, so nobody would ever pass",
            "write how many entries may be remembered, such as 1000000",
        )),
        capacity => Ok(capacity.unwrap_or(CAPACITY)),
    }
}

fn open_spent(
    around: &Surroundings<'_>,
    table: &StoreTable,
    servers: &mut Vec<RedisServer>,
) -> Result<Arc<dyn SpentTokens>, ConfigError> {
    if table.store == StoreKind::Memory {
        let capacity = capacity(around, "single_use", table)?;
        return Ok(Arc::new(MemorySpent::new(capacity)));
    }
    let (server, secret) = server(around, "single_use", table)?;
    let store = RedisSpent::new(&server, &secret);
    servers.push(server);
    Ok(match &table.prefix {
        Some(prefix) => Arc::new(store.with_prefix(prefix)),
        None => Arc::new(store),
    })
}

fn open_attempts(
    around: &Surroundings<'_>,
    table: &StoreTable,
    servers: &mut Vec<RedisServer>,
) -> Result<Arc<dyn AttemptStore>, ConfigError> {
    if table.store == StoreKind::Memory {
        let capacity = capacity(around, "attempts", table)?;
        return Ok(Arc::new(MemoryAttempts::new(capacity)));
    }
    let (server, secret) = server(around, "attempts", table)?;
    let store = RedisAttempts::new(&server, &secret);
    servers.push(server);
    Ok(match &table.prefix {
        Some(prefix) => Arc::new(store.with_prefix(prefix)),
        None => Arc::new(store),
    })
}

fn server(
    around: &Surroundings<'_>,
    path: &str,
    table: &StoreTable,
) -> Result<(RedisServer, Secret), ConfigError> {
    if table.capacity.is_some() {
        return Err(around.wrong(
            &format!("{path}.capacity"),
            "means nothing for a store on a server",
            "leave it out, and set the server's maxmemory instead",
        ));
    }
    let key = format!("{path}.url");
    let url = around.secret(&key, table.url.as_ref(), "HUMAN_CHECK_REDIS_URL")?;
    let server = RedisServer::new(&url).map_err(|error| around.placed(&key, error))?;
    let secret = around.secret(
        &format!("{path}.digest_secret"),
        table.digest_secret.as_ref(),
        "HUMAN_CHECK_DIGEST_SECRET",
    )?;
    if secret.expose().len() < 16 {
        return Err(around.wrong(
            &format!("{path}.digest_secret"),
            "is shorter than 16 characters, so whoever reads the server could guess it",
            "make a long random one, for example with `openssl rand -hex 32`, the same on all machines",
        ));
    }
    Ok((server, secret))
}

/// Files of comparisons, each opened once.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    open: Mutex<HashMap<PathBuf, Arc<dyn ComparisonSink>>>,
    /// Nothing is written, only looked at.
    dry: bool,
}

impl Sinks {
    /// None of them is really opened.
    pub(crate) fn dry() -> Self {
        Self {
            dry: true,
            ..Self::default()
        }
    }

    pub(crate) fn open(&self, path: &Path) -> Result<Arc<dyn ComparisonSink>, ConfigError> {
        if self.dry {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let there = folder.is_none_or(Path::is_dir) && !path.is_dir();
            return match there {
                true => Ok(Arc::new(Unwritten)),
                false => Err(ConfigError::new(
                    "file",
                    format!("is {}, where no file can be written", path.display()),
                    "name a file in a folder that is there",
                )),
            };
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = open.get(path) {
            return Ok(Arc::clone(sink));
        }
        let sink: Arc<dyn ComparisonSink> = Arc::new(JsonLines::open(path)?);
        open.insert(path.to_owned(), Arc::clone(&sink));
        Ok(sink)
    }
}

/// For a configuration that is looked at and never in force.
#[derive(Debug)]
struct Unwritten;

impl ComparisonSink for Unwritten {
    fn record(&self, _: Comparison) {}
}
