use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use human_check_core::{ConfigError, HumanCheck, Provider};
use human_check_guard::{
    Challenges, Guard, GuardBuilder, OnOutage, RoutePolicy, Settings, Trigger,
};
use human_check_http::{Exchange, HyperTransport};

use crate::Vendor;
use crate::challenges::Present;
use crate::compose::{Composed, Surroundings};
use crate::document::{Document, OVERRIDE, Override};
use crate::model::{ChallengeTable, Model, RouteTable};
use crate::secrets::Secrets;
use crate::stores::{Sinks, Stores};
use crate::summary::summary;
use crate::vendor::Issuer;

/// Everything a configuration file describes: the check, and a guard for each of its routes.
///
/// ```no_run
/// use human_check_config::Deployment;
///
/// let deployment = Deployment::load("human-check.toml")?;
/// let signup = deployment.guard("signup")?;
/// // From now on, whatever is written into the file reaches `signup` and its clones.
/// let _watch = deployment.watch();
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Deployment(Arc<Inner>);

struct Inner {
    source: Source,
    exchange: Exchange,
    stores: Stores,
    sinks: Sinks,
    customise: Customise,
    guards: BTreeMap<String, Guard>,
    now: Mutex<Now>,
    /// Held by whoever reloads. Never waited for by a request.
    read: Mutex<Read>,
}

/// What the configuration in force was read from.
struct Read {
    text: String,
    secrets: Secrets,
}

/// The configuration in force.
struct Now {
    summary: String,
    check: Arc<dyn HumanCheck>,
    issuers: Vec<Issuer>,
    issuing: Option<&'static Provider>,
}

type Customise = Arc<dyn Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync>;

/// Where a configuration comes from.
struct Source {
    file: Option<PathBuf>,
    overrides: Vec<Override>,
    variable: Variable,
}

type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Source {
    fn name(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "environment".to_owned(),
        }
    }

    fn directory(&self) -> &Path {
        let parent = self.file.as_deref().and_then(Path::parent);
        parent.unwrap_or(Path::new("."))
    }

    fn text(&self) -> Result<String, ConfigError> {
        let Some(file) = &self.file else {
            return Ok(String::new());
        };
        std::fs::read_to_string(file).map_err(|error| {
            ConfigError::new(
                self.name(),
                format!("cannot be read ({error})"),
                "check the path and its permissions",
            )
        })
    }

    fn document(&self, text: String) -> Result<Document, ConfigError> {
        Document::read(self.name(), text, self.overrides.clone())
    }
}

impl Deployment {
    /// What the file at `path` describes, with the environment of this process.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::load_with(path, |_, builder| builder)
    }

    /// The same, and `customise` sets up each route's guard further, with what no file can say: a page
    /// for refusals, an observer. It is told the name of the route, and asked again at every reload.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn load_with(
        path: impl Into<PathBuf>,
        customise: impl Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let source = Source {
            file: Some(path.into()),
            overrides: overrides()?,
            variable: Box::new(|name| std::env::var(name).ok()),
        };
        Self::assemble(source, Arc::new(customise))
    }

    /// What the environment describes: the file that `HUMAN_CHECK_CONFIG` names, if it does, and over
    /// it every key that a variable such as `HUMAN_CHECK__CHECK__USE` sets. `None` when there is
    /// neither.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn from_env() -> Result<Option<Self>, ConfigError> {
        Self::from_env_with(|_, builder| builder)
    }

    /// The same with guards set up further, as for [`load_with`](Self::load_with).
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn from_env_with(
        customise: impl Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync + 'static,
    ) -> Result<Option<Self>, ConfigError> {
        let file = std::env::var_os("HUMAN_CHECK_CONFIG").filter(|path| !path.is_empty());
        let overrides = overrides()?;
        if file.is_none() && overrides.is_empty() {
            return Ok(None);
        }
        crate::site::refuse_beside_a_file(std::env::vars_os())?;
        let source = Source {
            file: file.map(PathBuf::from),
            overrides,
            variable: Box::new(|name| std::env::var(name).ok()),
        };
        Self::assemble(source, Arc::new(customise)).map(Some)
    }

    /// What `text` describes, with variables as `variable` tells them. For tests: comparisons are
    /// written nowhere.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load); the file is called `human-check.toml`.
    pub fn from_text(
        text: &str,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let document = Document::read("human-check.toml", text.to_owned(), Vec::new())?;
        let source = Source {
            file: None,
            overrides: Vec::new(),
            variable: Box::new(variable),
        };
        let customise = Arc::new(|_: &str, builder| builder);
        Self::assemble_from(source, &document, text, customise, Sinks::dry())
    }

    fn assemble(source: Source, customise: Customise) -> Result<Self, ConfigError> {
        let text = source.text()?;
        let document = source.document(text.clone())?;
        Self::assemble_from(source, &document, &text, customise, Sinks::default())
    }

    /// What the file at `path` would be, for looking at: comparisons are written nowhere.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn look_at(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let source = Source {
            file: Some(path.into()),
            overrides: overrides()?,
            variable: Box::new(|name| std::env::var(name).ok()),
        };
        let text = source.text()?;
        let document = source.document(text.clone())?;
        let customise = Arc::new(|_: &str, builder| builder);
        Self::assemble_from(source, &document, &text, customise, Sinks::dry())
    }

    fn assemble_from(
        source: Source,
        document: &Document,
        text: &str,
        customise: Customise,
        sinks: Sinks,
    ) -> Result<Self, ConfigError> {
        let exchange = Exchange::new(HyperTransport::new()?);
        let secrets = Secrets::default();
        let model = document.model()?;
        let none = Stores::none();
        let mut around = Surroundings {
            document,
            directory: source.directory(),
            variable: &*source.variable,
            exchange: &exchange,
            stores: &none,
            sinks: &sinks,
            secrets: &secrets,
            now: SystemTime::now(),
        };
        let stores = Stores::open(&around, &model)?;
        around.stores = &stores;
        let built = build(&around, &model, &customise)?;
        stores.inspect_at_start();
        let guards = built.guards.into_iter();
        let guards = guards.map(|(name, guard)| (name, guard.replaceable()));
        Ok(Self(Arc::new(Inner {
            guards: guards.collect(),
            read: Mutex::new(Read {
                text: text.to_owned(),
                secrets,
            }),
            now: Mutex::new(Now {
                summary: summary(&model),
                check: built.check,
                issuers: built.issuers,
                issuing: issuing(&model),
            }),
            source,
            exchange,
            stores,
            sinks,
            customise,
        })))
    }

    /// The guard of the route called `name`. It follows every reload.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the configuration has no such route.
    pub fn guard(&self, name: &str) -> Result<Guard, ConfigError> {
        self.0.guards.get(name).cloned().ok_or_else(|| {
            ConfigError::new(
                format!("{}: routes.{name}", self.0.source.name()),
                "is missing, and the application has such a route",
                format!("add a table [routes.{name}] with at least on_outage = \"refuse\""),
            )
        })
    }

    /// What an endpoint answers that hands challenges to pages whose forms lead to the route called
    /// `name`: for its action, counted in the deployment's store of attempts. It follows every reload.
    ///
    /// They are those of altcha, whose widget cannot do without; else server tokens of CaptchaLa, for
    /// which the route needs an action. `None` when the configuration has neither vendor. One that
    /// nothing refers to yet is enough: its endpoint answers 503 until a reload puts it to use.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the configuration has no such route.
    pub fn challenges(&self, name: &str) -> Result<Option<Challenges>, ConfigError> {
        let guard = self.guard(name)?;
        let issuing = self.now().issuing;
        Ok(issuing.map(|provider| {
            let deployment = self.clone();
            Challenges::new(Present {
                deployment,
                provider,
            })
            .for_guard(guard)
            .with_attempts(Arc::clone(&self.0.stores.attempts))
        }))
    }

    /// What issues this vendor's challenges at the moment.
    pub(crate) fn issuer(&self, provider: &Provider) -> Option<Issuer> {
        let now = self.now();
        let mut issuers = now.issuers.iter();
        issuers
            .find(|issuer| issuer.provider() == provider)
            .cloned()
    }

    /// The names of the routes.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.0.guards.keys().map(String::as_str)
    }

    /// The check as it is now, without any route's policy. It does not follow reloads; guards do.
    pub fn check(&self) -> Arc<dyn HumanCheck> {
        Arc::clone(&self.now().check)
    }

    /// What the configuration amounts to, in a few lines. Names vendors and routes, and no key.
    pub fn summary(&self) -> String {
        self.now().summary.clone()
    }

    /// Asks the servers of the stores about settings that break what is promised. To be called at
    /// start; what is found is also logged.
    pub async fn inspect_stores(&self) -> Vec<String> {
        self.0.stores.inspect().await
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again. All guards change together, or nothing does.
    ///
    /// Says whether there was anything new. Requests under way are finished as they began; breakers
    /// begin closed; stores and their contents stay, and what concerns them cannot be changed.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load). The old configuration then stays in force.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        let inner = &*self.0;
        // One at a time. What is in force stays readable meanwhile: files may hang, and what an application
        // does to its guards may look at it.
        let mut read = inner.read.lock().unwrap_or_else(PoisonError::into_inner);
        let text = inner.source.text()?;
        if text == read.text && !read.secrets.have_changed() {
            return Ok(false);
        }
        let secrets = Secrets::default();
        let document = inner.source.document(text.clone())?;
        let model = document.model()?;
        let around = Surroundings {
            document: &document,
            directory: inner.source.directory(),
            variable: &*inner.source.variable,
            exchange: &inner.exchange,
            stores: &inner.stores,
            sinks: &inner.sinks,
            secrets: &secrets,
            now: SystemTime::now(),
        };
        inner.stores.still_fit(&around, &model)?;
        let built = build(&around, &model, &inner.customise)?;
        let mut pairs = Vec::new();
        for (name, guard) in &inner.guards {
            let Some(successor) = built.guards.get(name) else {
                return Err(around.wrong(
                    &format!("routes.{name}"),
                    "is gone, and the program still guards that route with it",
                    "put the table back; restart the program to remove a route",
                ));
            };
            pairs.push((guard, successor));
        }
        for name in built
            .guards
            .keys()
            .filter(|name| !inner.guards.contains_key(*name))
        {
            tracing::warn!(
                target: "human_check_config",
                route = name.as_str(),
                "a route was added, and the program knows it only after a restart"
            );
        }
        Guard::replace(&pairs).map_err(|error| around.placed("routes", error))?;
        *self.now() = Now {
            summary: summary(&model),
            check: built.check,
            issuers: built.issuers,
            issuing: issuing(&model),
        };
        *read = Read { text, secrets };
        tracing::info!(
            target: "human_check_config",
            file = inner.source.name(),
            vendor = model.check.vendor,
            failover = model.check.failover.as_deref().unwrap_or_default(),
            accept = model.check.accept.as_ref().map_or("", |accept| &accept.vendor),
            shadow = model.check.shadow.as_ref().map_or("", |shadow| &shadow.vendor),
            "configuration reloaded"
        );
        Ok(true)
    }

    /// Reloads whenever the file has changed, until the watch is dropped. Looks once a second, in a
    /// thread of its own; a configuration that is wrong is logged once and changes nothing.
    pub fn watch(&self) -> Watch {
        self.watch_every(Duration::from_secs(1))
    }

    /// The same, looking this often.
    pub fn watch_every(&self, interval: Duration) -> Watch {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let deployment = self.clone();
        let mut complaint = String::new();
        let look = move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            while stopped.recv_timeout(interval) == Err(Timeout) {
                // What an application does to its guards may panic; the next edit is to be seen all the
                // same. Nothing is changed before everything is built.
                let reload = std::panic::AssertUnwindSafe(|| deployment.reload());
                let message = match std::panic::catch_unwind(reload) {
                    Ok(Ok(_)) => String::new(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "setting up a guard panicked".to_owned(),
                };
                if !message.is_empty() && message != complaint {
                    tracing::error!(
                        target: "human_check_config",
                        error = message,
                        "the new configuration is wrong; the old one stays in force"
                    );
                }
                complaint = message;
            }
        };
        let thread = std::thread::Builder::new().name("human-check watch".to_owned());
        if let Err(error) = thread.spawn(look) {
            tracing::error!(
                target: "human_check_config",
                error = &error as &dyn std::error::Error,
                "changes of the configuration will not be seen"
            );
        }
        Watch { _stop: stop }
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("source", &self.0.source.name())
            .field("check", &self.now().check)
            .field("guards", &self.0.guards)
            .finish_non_exhaustive()
    }
}

/// Watches a file as long as it lives.
#[derive(Debug)]
#[must_use = "changes are seen only while it lives"]
pub struct Watch {
    _stop: std::sync::mpsc::Sender<()>,
}

/// Whose challenges pages fetch. A vendor in use comes before one that waits in the file.
fn issuing(model: &Model) -> Option<&'static Provider> {
    let used = model.check.vendors();
    let issuing = model
        .vendors
        .iter()
        .filter(|(_, table)| table.provider.issues_challenges());
    let first = issuing.min_by_key(|(name, table)| {
        (
            !used.contains(&name.as_str()),
            table.provider != Vendor::Altcha,
        )
    });
    first.map(|(_, table)| table.provider.provider())
}

struct Built {
    check: Arc<dyn HumanCheck>,
    issuers: Vec<Issuer>,
    guards: BTreeMap<String, Guard>,
}

fn overrides() -> Result<Vec<Override>, ConfigError> {
    let mut overrides = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(OVERRIDE)) else {
            continue;
        };
        let value = value
            .into_string()
            .map_err(|_| ConfigError::new(name.to_owned(), "is not UTF-8", "write plain text"))?;
        overrides.push(Override {
            variable: name.to_owned(),
            value,
        });
    }
    overrides.sort_by(|one, other| one.variable.cmp(&other.variable));
    Ok(overrides)
}

fn build(
    around: &Surroundings<'_>,
    model: &Model,
    customise: &Customise,
) -> Result<Built, ConfigError> {
    let composed = around.compose(model)?;
    if model.routes.is_empty() {
        return Err(around.wrong(
            "routes",
            "has no route, so nothing would be guarded",
            "add a table, such as [routes.signup] with on_outage = \"refuse\"",
        ));
    }
    let mut guards = BTreeMap::new();
    for (name, route) in &model.routes {
        let guard = guard(around, model, &composed, name, route, customise)?;
        guards.insert(name.clone(), guard);
    }
    Ok(Built {
        check: composed.check,
        issuers: composed.issuers,
        guards,
    })
}

fn guard(
    around: &Surroundings<'_>,
    model: &Model,
    composed: &Composed,
    name: &str,
    route: &RouteTable,
    customise: &Customise,
) -> Result<Guard, ConfigError> {
    for (key, given, never) in [
        (
            "on_misconfigured",
            route.on_misconfigured,
            "a wrong configuration, which would stay open unnoticed",
        ),
        (
            "on_protocol",
            route.on_protocol,
            "an answer without sense, which a visitor may provoke",
        ),
    ] {
        if given.is_some() {
            return Err(around.wrong(
                &format!("routes.{name}.{key}"),
                format!("is no choice: nobody is let in on {never}"),
                "leave it out",
            ));
        }
    }
    let placed = |error: ConfigError| {
        // Settings and policies do not know which table a key is in.
        let key = match error.field() {
            "max_age" => "max_age_s",
            "score" => "min_score",
            field => field,
        };
        let route = format!("routes.{name}.{key}");
        if key == "fields" {
            let remedy =
                "rename the field on one page, and tell it with `fields` in that vendor's table";
            let error = ConfigError::new("fields", error.problem().to_owned(), remedy);
            return around.placed("check", error);
        }
        let site = format!("site.{key}");
        let path = if around.document.has(&site) {
            site
        } else {
            route
        };
        around.placed(&path, error)
    };
    let site = &model.site;
    let mut settings = Settings::new(route.on_outage);
    settings.route = Some(name.to_owned());
    settings.action = route.action.clone();
    settings.hostnames = route.hostnames.clone();
    settings.min_score = route.min_score;
    settings.max_age_s = route.max_age_s;
    settings.observe_only = route.observe_only;
    settings.allow_testing_credentials = composed.testing;
    settings.header = site.header.clone();
    settings.client_address = site.client_address.clone();
    settings.trusted_proxies = site.trusted_proxies.clone();
    settings.country_header = site.country_header.clone();
    settings.body_cap = site.body_cap;
    settings.body_deadline_s = site.body_deadline_s;
    settings.upload_cap = site.upload_cap;
    settings.upload_deadline_s = site.upload_deadline_s;

    let mut policy = settings.route_policy().map_err(placed)?;
    if route.on_declined == Some(OnOutage::LetIn) {
        policy = policy.open_when_declined();
    }
    if route.on_unclaimed == Some(OnOutage::LetIn) {
        policy = policy.open_when_unclaimed();
    }
    if let Some(challenge) = &route.challenge {
        policy = challenging(around, model, name, challenge, policy)?;
    }
    let mut builder = Guard::builder(Arc::clone(&composed.check));
    for widget in &composed.widgets {
        builder = builder.with_widget(widget.clone());
    }
    let builder = settings.apply(builder).map_err(placed)?;
    customise(name, builder).build(policy).map_err(placed)
}

fn challenging(
    around: &Surroundings<'_>,
    model: &Model,
    route: &str,
    table: &ChallengeTable,
    policy: RoutePolicy,
) -> Result<RoutePolicy, ConfigError> {
    let path = |key: &str| format!("routes.{route}.challenge{key}");
    let mut rules = Vec::new();
    match (table.after_requests, table.window_s) {
        (None, None) => {}
        (None, Some(_)) => {
            return Err(around.wrong(
                &path(".window_s"),
                "is given without after_requests",
                "say after how many requests, or leave it out",
            ));
        }
        (Some(limit), window) => {
            let window = Duration::from_secs(window.unwrap_or(600));
            if window.is_zero() {
                return Err(around.wrong(&path(".window_s"), "is zero", "write seconds"));
            }
            let store = Arc::clone(&around.stores.attempts);
            rules.push(Trigger::after_requests(store, limit, window));
        }
    }
    if !table.user_agent_contains.is_empty() {
        rules.push(Trigger::user_agent_contains(&table.user_agent_contains));
    }
    for (key, countries) in [
        (".country_in", &table.country_in),
        (".country_outside", &table.country_outside),
    ] {
        if !countries.is_empty() && model.site.country_header.is_none() {
            return Err(around.wrong(
                &path(key),
                "needs the visitor's country, and no header tells it",
                "set site.country_header, such as \"CF-IPCountry\", or leave it out",
            ));
        }
    }
    if !table.country_in.is_empty() {
        rules.push(Trigger::country_in(&table.country_in));
    }
    if !table.country_outside.is_empty() {
        rules.push(Trigger::country_outside(&table.country_outside));
    }
    if rules.is_empty() {
        return Err(around.wrong(
            &path(""),
            "has no rule, so nobody would ever be asked",
            "give a rule, such as after_requests = 3, or leave the table out to ask always",
        ));
    }
    Ok(policy.challenging(Trigger::any(rules)))
}
