//! A configuration in force.

mod builder;
mod guard_setup;
mod reload;
mod reloading_issuer;
mod route;
mod snapshot;
mod summary;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use human_check_core::{ConfigError, HumanCheck, Provider};
use human_check_guard::{ChallengeEndpoint, Guard};
use human_check_http::ProviderClient;

use crate::compose::Composer;
use crate::context::Context;
use crate::issuer::Issuer;
use crate::model::ANY_ROUTE;
use crate::source::{Document, KeyPath, SecretFiles, Source};
use crate::stores::{Sinks, Stores};
use crate::transport;
use guard_setup::GuardSetup;
use reloading_issuer::{Issuers, ReloadingIssuer};
use snapshot::{Now, Snapshot};

pub use builder::DeploymentBuilder;
pub use watch::Watch;

/// Everything that a configuration describes: the check, and a guard for each route.
///
/// ```no_run
/// use human_check_config::Deployment;
///
/// let deployment = Deployment::load("human-check.toml")?;
/// let signup = deployment.guard("signup")?;
/// // From now on, a change of the file reaches `signup` and its clones.
/// let _watch = deployment.watch();
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Deployment(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) source: Source,
    pub(crate) client: ProviderClient,
    pub(crate) stores: Stores,
    pub(crate) sinks: Sinks,
    pub(crate) guard_setup: GuardSetup,
    /// The guards that were given out, and those of the routes with a table. They follow reloads.
    pub(crate) guards: Mutex<BTreeMap<String, Guard>>,
    /// The configuration in force.
    pub(crate) now: Mutex<Now>,
    /// What the configuration in force was read from. Held while reloading, and never by a request.
    pub(crate) read: Mutex<Read>,
}

/// What the configuration in force was read from.
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) secrets: SecretFiles,
    /// The snapshot that was built from it, for guards of further routes.
    pub(crate) snapshot: Snapshot,
}

impl Inner {
    fn context<'a>(&'a self, document: &'a Document, secrets: &'a SecretFiles) -> Context<'a> {
        Context {
            document,
            directory: self.source.directory(),
            variable: &*self.source.variable,
            secrets,
        }
    }
}

impl Deployment {
    pub(crate) fn assemble(
        source: Source,
        guard_setup: GuardSetup,
        dry_run: bool,
    ) -> Result<Self, ConfigError> {
        let sinks = if dry_run {
            Sinks::dry()
        } else {
            Sinks::default()
        };
        let text = source.text()?;
        let document = source.document(&text)?;
        let client = transport::client()?;
        let secrets = SecretFiles::default();
        let model = document.model()?;
        let context = Context {
            document: &document,
            directory: source.directory(),
            variable: &*source.variable,
            secrets: &secrets,
        };
        let stores = Stores::open(&context, &model)?;
        let composer = Composer {
            context: &context,
            client: &client,
            stores: &stores,
            sinks: &sinks,
            now: SystemTime::now(),
        };
        let (snapshot, guards) = Snapshot::build(&composer, model, &guard_setup)?;
        stores.inspect_at_start();
        let guards = guards.into_iter();
        let guards = guards.map(|(name, guard)| (name, guard.into_replaceable()));
        Ok(Self(Arc::new(Inner {
            guards: Mutex::new(guards.collect()),
            now: Mutex::new(snapshot.now()),
            read: Mutex::new(Read {
                text,
                secrets,
                snapshot,
            }),
            source,
            client,
            stores,
            sinks,
            guard_setup,
        })))
    }

    /// Returns the guard of the route called `name`. It follows every reload.
    ///
    /// A route without a table of its own has the rules of `[routes."*"]`, where there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the configuration has no such route, or its rules cannot be met.
    pub fn guard(&self, name: &str) -> Result<Guard, ConfigError> {
        if let Some(guard) = lock(&self.0.guards).get(name) {
            return Ok(guard.clone());
        }
        // Held, so that no reload replaces the guards between reading the snapshot and adding one.
        let read = lock(&self.0.read);
        if !read.snapshot.model.routes.contains_key(ANY_ROUTE) || name == ANY_ROUTE {
            let path = KeyPath::route(name);
            return Err(ConfigError::new(
                format!("{}: {path}", self.0.source.name()),
                "is missing, and the application has such a route",
                format!("add a table [{path}], or [routes.\"*\"] for every route without one"),
            ));
        }
        let document = self.0.source.document(&read.text)?;
        let context = self.0.context(&document, &read.secrets);
        let guard = read.snapshot.guard(&context, name, &self.0.guard_setup)?;
        let mut guards = lock(&self.0.guards);
        let entry = guards.entry(name.to_owned());
        Ok(entry.or_insert_with(|| guard.into_replaceable()).clone())
    }

    /// Returns the endpoint that issues challenges to pages whose forms lead to the route called `name`:
    /// for its action, counted in the deployment's attempt store. It follows every reload.
    ///
    /// The challenges are those of altcha, whose widget needs them; else server tokens of CaptchaLa, for
    /// which the route needs an action. `None` when the configuration has neither kind of account. One
    /// that nothing refers to yet is enough: its endpoint responds with 503 until a reload puts it to use.
    ///
    /// # Errors
    ///
    /// As for [`guard`](Self::guard).
    pub fn challenge_endpoint(&self, name: &str) -> Result<Option<ChallengeEndpoint>, ConfigError> {
        let guard = self.guard(name)?;
        let issuing = self.now().issuing;
        Ok(issuing.map(|provider| {
            let issuers = Arc::new(self.clone());
            ChallengeEndpoint::new(ReloadingIssuer { issuers, provider })
                .with_guard(guard)
                .with_attempt_store(Arc::clone(&self.0.stores.attempts))
        }))
    }

    /// Returns the names of the routes that have a table, or were asked for.
    pub fn routes(&self) -> Vec<String> {
        let guards = lock(&self.0.guards);
        guards.keys().cloned().collect()
    }

    /// Returns the check in force, without any route's policy. It does not follow reloads; guards do.
    pub fn check(&self) -> Arc<dyn HumanCheck> {
        Arc::clone(&self.now().check)
    }

    /// Returns what the configuration amounts to, in a few lines. It names accounts and routes, and no key.
    pub fn summary(&self) -> String {
        self.now().summary.clone()
    }

    /// Asks the servers of the stores about settings that break a guarantee. Call it at start; the warnings
    /// are also logged.
    pub async fn inspect_stores(&self) -> Vec<String> {
        self.0.stores.inspect().await
    }

    pub(crate) fn now(&self) -> MutexGuard<'_, Now> {
        lock(&self.0.now)
    }
}

impl Issuers for Deployment {
    fn issuer(&self, provider: &Provider) -> Option<Issuer> {
        let now = self.now();
        let mut issuers = now.issuers.iter();
        let found = issuers.find(|issuer| issuer.provider() == provider);
        found.cloned()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("source", &self.0.source.name())
            .field("check", &self.now().check)
            .field("guards", &*lock(&self.0.guards))
            .finish_non_exhaustive()
    }
}
