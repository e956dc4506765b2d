use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use human_check_core::ConfigError;
use human_check_guard::GuardBuilder;

use super::guard_setup::GuardSetup;
use crate::registered::Registered;
use crate::source::{Document, Environment, Source, Syntax};
use crate::{AdapterSettings, Deployment, RegisteredCheck};

/// Builds a [`Deployment`] with settings that a configuration cannot hold, such as a page for
/// refusals.
///
/// [`Deployment::load`] and [`Deployment::from_env`] are enough without such settings. A builder
/// can be used several times.
///
/// ```no_run
/// use human_check_config::DeploymentBuilder;
///
/// let deployment = DeploymentBuilder::new()
///     .with_guard_setup(|_route, guard| guard.with_refusal_page(|_| Some("<h1>No</h1>".into())))
///     .load("human-check.toml")?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it reads a configuration"]
pub struct DeploymentBuilder {
    guard_setup: GuardSetup,
    registered: Registered,
    dry_run: bool,
}

impl Default for DeploymentBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DeploymentBuilder {
    /// Creates a builder with the defaults.
    pub fn new() -> Self {
        Self {
            guard_setup: Arc::new(|_, builder| builder),
            registered: Registered::default(),
            dry_run: false,
        }
    }

    /// Sets a function that adds settings in code to the guard of each route, such as a page for
    /// refusals, the theme of a widget, or an observer. Default: it adds none.
    ///
    /// `setup` receives the name of the route and the builder of its guard, which has the settings
    /// of the configuration. It is called once for each route, and again at every reload.
    pub fn with_guard_setup(
        mut self,
        setup: impl Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync + 'static,
    ) -> Self {
        self.guard_setup = Arc::new(setup);
        self
    }

    /// Registers an adapter under the name `kind`, so that a configuration can say
    /// `kind = "acme"`. Default: the kinds of [`ProviderKind`](crate::ProviderKind) alone.
    ///
    /// `build` receives the settings of each account of this kind, and is called again at every
    /// reload. The account gets the same rules, limits and circuit breaker as every other one.
    ///
    /// ```
    /// use human_check_config::{Deployment, RegisteredCheck};
    /// # use human_check_testkit::Scripted;
    ///
    /// let text = r#"
    ///     [providers.main]
    ///     kind = "acme"
    ///     settings = { region = "eu" }
    ///
    ///     [check]
    ///     use = "main"
    ///
    ///     [routes.signup]
    /// "#;
    /// let deployment = Deployment::builder()
    ///     .with_adapter("acme", |account| {
    ///         assert_eq!(account.settings["region"], "eu");
    ///         Ok(RegisteredCheck::new(Scripted::human())) // your adapter
    ///     })
    ///     .from_text(text, |_| None)?;
    /// assert!(deployment.guard("signup").is_ok());
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// `build` returns a [`ConfigError`] for a setting that is missing or wrong; its field names the
    /// key of the account, such as `settings`.
    pub fn with_adapter(
        mut self,
        kind: impl Into<String>,
        build: impl Fn(AdapterSettings) -> Result<RegisteredCheck, ConfigError> + Send + Sync + 'static,
    ) -> Self {
        self.registered.add(kind.into(), build);
        self
    }

    /// Makes the deployment a dry run: it builds everything and writes no file. For tests and
    /// start-up checks of a configuration.
    ///
    /// The file of a `[check.shadow]` is not opened; its folder must exist. Secrets are read.
    /// Default off.
    pub fn with_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Reads the TOML file at `path`. The variables `HUMAN_CHECK__TABLE__KEY` of this process
    /// override its keys.
    ///
    /// Relative paths in the file start from its folder. [`Deployment::reload`] reads the file
    /// again.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
    pub fn load(&self, path: impl Into<PathBuf>) -> Result<Deployment, ConfigError> {
        let environment = Environment::of_this_process()?;
        self.read(Source {
            syntax: Syntax::File(path.into()),
            overrides: environment.overrides().to_vec(),
            variable: Box::new(|name| std::env::var(name).ok()),
        })
    }

    /// Reads the variables of this process, in one of these forms:
    ///
    /// | variables | what they describe |
    /// | --- | --- |
    /// | `HUMAN_CHECK_CONFIG` | the file that it names |
    /// | `HUMAN_CHECK_PROVIDER`, `HUMAN_CHECK_SITE_KEY`, `HUMAN_CHECK_SECRET` and others | one provider, and the same rules for every route |
    /// | `HUMAN_CHECK__TABLE__KEY` | single keys, which override those of the other two forms; they can also be the whole configuration |
    ///
    /// See docs/reference/configuration.md#variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the variable, or file, line and key.
    pub fn from_env(&self) -> Result<Deployment, ConfigError> {
        let variable = Box::new(|name: &str| std::env::var(name).ok());
        self.read(Environment::of_this_process()?.source(variable)?)
    }

    /// Reads `variables`, names and values, as [`from_env`](Self::from_env) reads the variables of
    /// the process. Secrets are read from `variables`, too. For tests.
    ///
    /// ```
    /// use human_check_config::Deployment;
    ///
    /// let variables = [
    ///     ("HUMAN_CHECK_PROVIDER", "turnstile"),
    ///     ("HUMAN_CHECK_SITE_KEY", "0x4AAAAAAADemoSiteKey"),
    ///     ("HUMAN_CHECK_SECRET", "0x4AAAAAAADemoSecret"),
    /// ];
    /// let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    /// let deployment = Deployment::builder().from_vars(variables)?;
    /// assert_eq!(deployment.check().providers()[0].name(), "turnstile");
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`from_env`](Self::from_env).
    pub fn from_vars(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Deployment, ConfigError> {
        let variables: Vec<_> = variables.into_iter().collect();
        let native = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = Environment::read(native)?;
        let variable = move |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        self.read(environment.source(Box::new(variable))?)
    }

    /// Reads `text` as the content of a file called `human-check.toml`. `variable` returns the
    /// value of a variable that `text` refers to, or `None` if it is not set.
    ///
    /// For tests: it is a [dry run](Self::with_dry_run), and variables of this process are not
    /// read.
    ///
    /// ```
    /// use human_check_config::Deployment;
    ///
    /// let text = r#"
    ///     [providers.main]
    ///     kind = "turnstile"
    ///     site_key = "0x4AAAAAAADemoSiteKey"
    ///
    ///     [check]
    ///     use = "main"
    ///
    ///     [routes.signup]
    /// "#;
    /// let variable = |name: &str| match name {
    ///     "HUMAN_CHECK_SECRET_MAIN" => Some("0x4AAAAAAADemoSecret".to_owned()),
    ///     _ => None,
    /// };
    /// let deployment = Deployment::builder().from_text(text, variable)?;
    /// assert!(deployment.guard("signup").is_ok());
    /// assert!(deployment.guard("login").is_err());
    /// # Ok::<(), human_check_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn from_text(
        &self,
        text: &str,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Deployment, ConfigError> {
        let document = Document::from_toml("human-check.toml", text)?;
        self.clone().with_dry_run().read(Source {
            syntax: Syntax::Fixed(document),
            overrides: Vec::new(),
            variable: Box::new(variable),
        })
    }

    /// Reads the table called `table` of a figment. The variables `HUMAN_CHECK__TABLE__KEY` of this
    /// process override its keys.
    ///
    /// With the figment of a Rocket application and the table `human_check`, the key `check.use` is
    /// in `[default.human_check.check]` of `Rocket.toml`. The figment is read once; a
    /// [reload](Deployment::reload) only reads the files of secrets again.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the figment's source and the key.
    #[cfg(feature = "figment")]
    pub fn from_figment(
        &self,
        figment: &figment::Figment,
        table: &str,
    ) -> Result<Deployment, ConfigError> {
        self.read(Source {
            syntax: Syntax::Fixed(crate::source::from_figment::document(figment, table)?),
            overrides: Environment::of_this_process()?.overrides().to_vec(),
            variable: Box::new(|name| std::env::var(name).ok()),
        })
    }

    fn read(&self, source: Source) -> Result<Deployment, ConfigError> {
        let guard_setup = Arc::clone(&self.guard_setup);
        Deployment::assemble(source, guard_setup, self.registered.clone(), self.dry_run)
    }
}

impl Deployment {
    /// Creates a builder, for settings in code and for the other syntaxes of a configuration.
    pub fn builder() -> DeploymentBuilder {
        DeploymentBuilder::new()
    }

    /// Reads the TOML file at `path`. The variables `HUMAN_CHECK__TABLE__KEY` of this process
    /// override its keys.
    ///
    /// Relative paths in the file start from its folder. See docs/reference/configuration.md.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names file, line and key, what is wrong, and what to write instead.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        DeploymentBuilder::new().load(path)
    }

    /// Reads the variables of this process: one provider in the short form, or the file that
    /// `HUMAN_CHECK_CONFIG` names. [`DeploymentBuilder::from_env`] lists the forms.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the variable, or file, line and key.
    pub fn from_env() -> Result<Self, ConfigError> {
        DeploymentBuilder::new().from_env()
    }
}

impl fmt::Debug for DeploymentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeploymentBuilder")
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}
