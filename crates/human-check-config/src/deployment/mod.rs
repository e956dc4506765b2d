//! A deployment: the configuration in force, its guards, and how it is replaced by the next one.

mod builder;
mod guard_setup;
mod reload;
mod reloading_issuer;
mod route;
mod route_selection;
mod snapshot;
mod summary;
mod warnings;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use human_check_core::{Clock, ConfigError, HumanCheck, Provider, SteadyClock};
use human_check_guard::{ChallengeEndpoint, Guard, HealthEndpoint, OptionsEndpoint};
use human_check_http::ProviderClient;

use crate::compose::Composer;
use crate::context::Context;
use crate::diagnosis::{
    AccountExamination, Calls, Diagnosis, Finding, WrittenFile, examine_files, examine_quota,
};
use crate::issuer::Issuer;
use crate::model::{ANY_ROUTE, ReadinessPart};
use crate::registered::Registered;
use crate::source::{Document, KeyPath, SecretFiles, Source};
use crate::stores::{Experiments, Sinks, Stores};
use crate::transport;
use guard_setup::GuardSetup;
use reloading_issuer::{Issuers, ReloadingIssuer};
use snapshot::{Now, Snapshot};

pub use builder::DeploymentBuilder;
pub use watch::Watch;

/// How long an examination waits for the file system.
const FILES_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that a configuration describes: the check, and a guard for each route.
///
/// A program builds one at start, gives each guard to a route of its web framework, and keeps the
/// [`Watch`] if it is to follow edits of the file. Clones share all of it.
///
/// ```no_run
/// use human_check_config::Deployment;
///
/// let deployment = Deployment::load("human-check.toml")?;
/// let signup = deployment.guard("signup")?;
/// // From now on, a change of the file reaches `signup` and its clones.
/// let _watch = deployment.watch();
/// println!("{}", deployment.summary());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// [`from_env`](Self::from_env) reads variables instead of a file, and [`builder`](Self::builder)
/// adds settings in code. See docs/reference/configuration.md for all keys.
#[derive(Clone)]
pub struct Deployment(pub(crate) Arc<Inner>);

/// The parts of a deployment that its clones share.
pub(crate) struct Inner {
    /// The source of the configuration, which a reload reads again.
    pub(crate) source: Source,
    /// The client that all accounts share.
    pub(crate) client: ProviderClient,
    /// The replay store and the attempt store, which outlive a reload.
    pub(crate) stores: Stores,
    /// The files of comparisons, which outlive a reload.
    pub(crate) sinks: Sinks,
    /// The experiments that have run.
    pub(crate) experiments: Experiments,
    /// The settings in code of each guard.
    pub(crate) guard_setup: GuardSetup,
    /// The adapters that the program registered in code.
    pub(crate) registered: Registered,
    /// The guards that were returned, and those of the routes with a table. They follow reloads.
    pub(crate) guards: Mutex<BTreeMap<String, Guard>>,
    /// The configuration in force.
    pub(crate) now: Mutex<Now>,
    /// The content that the configuration in force was read from. A reload holds this lock, and a
    /// request never takes it.
    pub(crate) read: Mutex<Read>,
}

/// The content that the configuration in force was read from.
pub(crate) struct Read {
    /// The text of the file.
    pub(crate) text: String,
    /// The files of the secrets.
    pub(crate) secrets: SecretFiles,
    /// The snapshot that was built from it, for guards of further routes.
    pub(crate) snapshot: Snapshot,
}

impl Inner {
    /// Returns the context for reading `document`.
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
    /// Reads the source and builds the deployment.
    pub(crate) fn assemble(
        source: Source,
        guard_setup: GuardSetup,
        registered: Registered,
        dry_run: bool,
    ) -> Result<Self, ConfigError> {
        let experiments = Experiments::default();
        let sinks = if dry_run {
            Sinks::dry()
        } else {
            Sinks::default()
        };
        let text = source.text()?;
        let document = source.document(&text)?;
        let secrets = SecretFiles::default();
        let model = document.model(&registered)?;
        let context = Context {
            document: &document,
            directory: source.directory(),
            variable: &*source.variable,
            secrets: &secrets,
        };
        let client = transport::client(&context, &model)?;
        let stores = Stores::open(&context, &model)?;
        let composer = Composer {
            context: &context,
            client: &client,
            stores: &stores,
            sinks: &sinks,
            experiments: &experiments,
            registered: &registered,
            dry_run,
            before: None,
            now: SteadyClock::system().now(),
        };
        let (snapshot, guards) = Snapshot::build(&composer, model, &guard_setup)?;
        snapshot.begin_experiment(&experiments);
        if !dry_run {
            log(&snapshot.warnings);
        }
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
            experiments,
            guard_setup,
            registered,
        })))
    }

    /// Returns the guard of the route called `name`, which is the name in `[routes.NAME]`, in logs
    /// and in metrics. The guard follows every reload.
    ///
    /// A route without a table of its own has the rules of `[routes."*"]`, if there is such a
    /// table. Calls with the same name return the same guard.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the configuration has no table for the route, or the route has a rule
    /// that an account can never meet.
    pub fn guard(&self, name: &str) -> Result<Guard, ConfigError> {
        if let Some(guard) = lock(&self.0.guards).get(name) {
            return Ok(guard.clone());
        }
        // The lock is held so that no reload replaces the guards between the reading of the
        // snapshot and the insertion of the new guard.
        let read = lock(&self.0.read);
        if !read.snapshot.model.routes.contains_key(ANY_ROUTE) || name == ANY_ROUTE {
            let path = KeyPath::route(name);
            return Err(ConfigError::new(
                format!("{}: {path}", self.0.source.name()),
                "is missing, and the application uses this route",
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

    /// Returns the endpoint that issues challenges to pages whose forms lead to the route called
    /// `name`, or `None` when the configuration has no account of the kind altcha or captchala.
    ///
    /// The challenges are for the action of the route. The deployment's attempt store counts them,
    /// which limits how many each address can fetch. The endpoint follows every reload.
    ///
    /// For altcha these are the challenges that its widget needs. For CaptchaLa they are server
    /// tokens, for which the route needs an action. An account with a role comes before one
    /// without, and altcha before captchala. An account without a role is enough for an endpoint:
    /// it responds with 503 until a reload gives the account a role.
    ///
    /// See docs/providers/altcha.md#challenge-endpoint and
    /// docs/providers/captchala.md#server-tokens.
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

    /// Returns the endpoint from which pages fetch the account that their visitor meets. It knows the
    /// routes with a table, and those that [`guard`](Self::guard) was called with. It follows every
    /// reload, apart from `check.origins`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when an entry of `check.origins` is no origin.
    pub fn options_endpoint(&self) -> Result<OptionsEndpoint, ConfigError> {
        let guards = self.clone();
        let find = move |route: &str| lock(&guards.0.guards).get(route).cloned();
        let read = lock(&self.0.read);
        let origins = read.snapshot.model.check.origins.iter().cloned();
        let endpoint = OptionsEndpoint::of(find).with_origins(origins)?;
        Ok(endpoint.with_attempt_store(Arc::clone(&self.0.stores.attempts)))
    }

    /// Returns the endpoints for load balancers and orchestrators. This process is ready while none of
    /// the parts in `site.readiness` fails, and with none named always. Build the deployment once more
    /// to change them: the endpoint does not follow a reload of that key.
    pub fn health_endpoint(&self) -> HealthEndpoint {
        let inner = &self.0;
        let mut endpoint = HealthEndpoint::new();
        let read = lock(&inner.read);
        for part in &read.snapshot.model.site.readiness {
            endpoint = match part {
                ReadinessPart::Accounts => {
                    let deployment = self.clone();
                    endpoint.with_guards(move || {
                        let guards = lock(&deployment.0.guards);
                        guards.values().cloned().collect()
                    })
                }
                ReadinessPart::AttemptStore => {
                    endpoint.with_attempt_store(Arc::clone(&inner.stores.attempts))
                }
                ReadinessPart::ReplayStore => match &inner.stores.replay {
                    Some(store) => endpoint.with_replay_store(Arc::clone(store)),
                    None => endpoint,
                },
            };
        }
        endpoint
    }

    /// Returns the names of the routes that have a table, and of those that [`guard`](Self::guard)
    /// was called with. In alphabetical order, without `*`.
    pub fn routes(&self) -> Vec<String> {
        let guards = lock(&self.0.guards);
        guards.keys().cloned().collect()
    }

    /// Returns the check in force, without the rules of any route. It does not follow reloads.
    /// Guards do.
    ///
    /// For code that verifies tokens outside of a web framework.
    pub fn check(&self) -> Arc<dyn HumanCheck> {
        Arc::clone(&self.now().check)
    }

    /// Returns a summary of the configuration in force, in a few lines for the operator. It names
    /// accounts and routes, and shows no site key and no secret.
    pub fn summary(&self) -> String {
        self.now().summary.clone()
    }

    /// Returns one sentence for each setting of the configuration in force that works and is probably
    /// wrong or dangerous, such as test keys that are allowed. They are logged at start and after
    /// each reload, as `WARN` events of the target `human_check_config`.
    pub fn warnings(&self) -> Vec<String> {
        self.now().warnings.clone()
    }

    /// Inspects the servers of the stores, and returns a warning for each setting that breaks a
    /// guarantee and for each server that cannot be reached. Empty for stores in memory.
    ///
    /// A program can call it at start. A deployment that is built inside of a tokio runtime makes
    /// the same inspection in the background, and the warnings are logged in both cases.
    pub async fn inspect_stores(&self) -> Vec<String> {
        self.0.stores.inspect().await
    }

    /// Examines what the configuration in force depends on, from this machine, and returns what was
    /// found: of each account with a role the name server, the connection, the secret, the clock and
    /// the script of its widget; of each store the server and a claim; and whether the files that it
    /// writes can be written.
    ///
    /// The files of secrets are read again, so the secrets are those that a restart would have. Each
    /// provider is called once, with a token that it has not issued, and its script is requested once.
    /// A provider may bill the call. The calls are not counted as checks, apart from those of adapters
    /// that the program registered in code, and no circuit breaker learns of them. It takes at most
    /// about twelve seconds. Dropping the future ends the calls.
    ///
    /// For a command or a page of the operator, inside of a tokio runtime.
    /// [`health_endpoint`](Self::health_endpoint) is for load balancers.
    pub async fn diagnose(&self) -> Diagnosis {
        let deployment = self.clone();
        // It reads files.
        let prepared = tokio::task::spawn_blocking(move || deployment.prepare_diagnosis()).await;
        let Prepared {
            mut findings,
            accounts,
            quotas,
            files,
        } = prepared.unwrap_or_else(|error| {
            let text = format!("it cannot be examined ({error})");
            let finding = Finding::wrong("configuration", "settings", text, "look in the log");
            Prepared::of(finding)
        });
        let accounts = accounts.into_iter().map(AccountExamination::run);
        let accounts = futures_util::future::join_all(accounts);
        let stores = &self.0.stores;
        let (counts, is_shared) = stores.counts();
        let quotas = quotas
            .into_iter()
            .map(|(account, quota)| examine_quota(account, quota, &**counts, is_shared));
        let quotas = futures_util::future::join_all(quotas);
        let files = tokio::task::spawn_blocking(move || examine_files(&files));
        let (accounts, quotas, stores, files) = tokio::join!(
            accounts,
            quotas,
            stores.examine(),
            tokio::time::timeout(FILES_TIMEOUT, files)
        );
        findings.extend(accounts.into_iter().flatten());
        let (of_quotas, quotas): (Vec<_>, Vec<_>) = quotas.into_iter().unzip();
        findings.extend(of_quotas);
        findings.extend(stores);
        match files {
            Ok(Ok(files)) => findings.extend(files),
            _ => findings.push(Finding::wrong(
                "files",
                "writable",
                "the file system does not reply",
                "look at the disk, or the server, that the files of records are on",
            )),
        }
        let quotas = quotas.into_iter().flatten().collect();
        Diagnosis { findings, quotas }
    }

    /// Builds all accounts that have a role once more, with clients whose calls are observed, and returns
    /// them with their quotas and the files that are written. The findings are those about the
    /// configuration.
    fn prepare_diagnosis(&self) -> Prepared {
        let inner = &self.0;
        let read = lock(&inner.read);
        let model = &read.snapshot.model;
        let warnings = read.snapshot.warnings.iter();
        let mut findings: Vec<Finding> = warnings.map(|text| Finding::of_warning(text)).collect();
        let is_stale =
            inner.source.text().is_ok_and(|text| text != read.text) || read.secrets.have_changed();
        if is_stale {
            findings.push(Finding::warning(
                "configuration",
                "settings",
                "its files have changed and are not in force",
                "look in the log for why the reload was refused, or restart the program",
            ));
        }
        let document = match inner.source.document(&read.text) {
            Ok(document) => document,
            Err(error) => {
                findings.push(Finding::of_error("configuration", &error));
                return Prepared {
                    findings,
                    ..Prepared::default()
                };
            }
        };
        let secrets = SecretFiles::default();
        let context = inner.context(&document, &secrets);
        let mut names = model.accounts();
        names.sort_unstable();
        names.dedup();
        let (mut accounts, mut quotas) = (Vec::new(), Vec::new());
        for name in names {
            let table = model.providers.get(name);
            if let Some((table, quota)) =
                table.and_then(|table| Some((table, table.monthly_quota?)))
            {
                let provider = table.kind.provider().name().to_owned();
                quotas.push(((name.to_owned(), provider), quota));
            }
            let calls = Calls::default();
            let client = inner.client.map_transport(|transport| calls.of(transport));
            let composer = Composer {
                context: &context,
                client: &client,
                stores: &inner.stores,
                sinks: &inner.sinks,
                experiments: &inner.experiments,
                registered: &inner.registered,
                dry_run: true,
                before: None,
                now: SteadyClock::system().now(),
            };
            match composer.examination(model, name, &calls) {
                Ok(account) => accounts.push(account),
                Err(error) => {
                    findings.push(Finding::of_error(&format!("providers.{name}"), &error));
                }
            }
        }
        if findings.is_empty() {
            let text = "nothing is wrong with it";
            findings.push(Finding::fine("configuration", "settings", text));
        }
        let mut files = Vec::new();
        if let Some(shadow) = &model.check.shadow {
            files.push(WrittenFile {
                key: "check.shadow.file",
                path: context.directory.join(&shadow.file),
                stop_of: None,
            });
        }
        if let Some(experiment) = &model.experiment {
            files.push(WrittenFile {
                key: "experiment.file",
                path: context.directory.join(&experiment.file),
                stop_of: None,
            });
            files.push(WrittenFile {
                key: "experiment.state_file",
                path: experiment.state_file(context.directory),
                stop_of: Some(experiment.name.clone()),
            });
        }
        Prepared {
            findings,
            accounts,
            quotas,
            files,
        }
    }

    /// Locks and returns the configuration in force.
    pub(crate) fn now(&self) -> MutexGuard<'_, Now> {
        lock(&self.0.now)
    }
}

/// What an examination looks at, read from the configuration.
#[derive(Default)]
struct Prepared {
    findings: Vec<Finding>,
    accounts: Vec<AccountExamination>,
    /// The name and the provider of each account with a quota, and the quota.
    quotas: Vec<((String, String), u32)>,
    files: Vec<WrittenFile>,
}

impl Prepared {
    fn of(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            ..Self::default()
        }
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

/// Logs the warnings about a configuration.
pub(crate) fn log(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(target: "human_check_config", warning, "the configuration may be wrong");
    }
}

/// Locks `mutex`, also after a thread panicked while it held the lock.
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
