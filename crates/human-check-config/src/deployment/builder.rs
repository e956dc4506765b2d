use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use human_check_core::ConfigError;
use human_check_guard::GuardBuilder;

use super::guard_setup::GuardSetup;
use crate::Deployment;
use crate::source::{Document, Environment, Source, Syntax};

/// Reads a [`Deployment`] with more than the defaults.
///
/// ```no_run
/// use human_check_config::DeploymentBuilder;
///
/// let deployment = DeploymentBuilder::new()
///     .with_guard_setup(|_route, guard| guard.with_refusal_page(|_, _| Some("<h1>No</h1>".into())))
///     .load("human-check.toml")?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder describes nothing until it reads something"]
pub struct DeploymentBuilder {
    guard_setup: GuardSetup,
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
            dry_run: false,
        }
    }

    /// Sets up each route's guard further, with what no configuration can say: a page for refusals, an
    /// observer. `setup` gets the name of the route, and is called again at every reload.
    pub fn with_guard_setup(
        mut self,
        setup: impl Fn(&str, GuardBuilder) -> GuardBuilder + Send + Sync + 'static,
    ) -> Self {
        self.guard_setup = Arc::new(setup);
        self
    }

    /// Writes no comparison into any file, for a configuration that is only looked at.
    pub fn with_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Reads the TOML file at `path`, and over it the variables `HUMAN_CHECK__TABLE__KEY` of this process.
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
    /// | set | means |
    /// | --- | --- |
    /// | `HUMAN_CHECK_CONFIG` | the file that it names |
    /// | `HUMAN_CHECK_PROVIDER`, `HUMAN_CHECK_SITE_KEY`, `HUMAN_CHECK_SECRET` and others | one provider, and the same rules for every route |
    /// | `HUMAN_CHECK__TABLE__KEY` | single keys, by themselves or over one of the two |
    ///
    /// # Errors
    ///
    /// [`ConfigError`] that names the variable, or file, line and key.
    pub fn from_env(&self) -> Result<Deployment, ConfigError> {
        let variable = Box::new(|name: &str| std::env::var(name).ok());
        self.read(Environment::of_this_process()?.source(variable)?)
    }

    /// Reads these variables as [`from_env`](Self::from_env) reads those of the process.
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

    /// Reads `text` as a file called `human-check.toml`, with variables as `variable` returns them. For
    /// tests: comparisons are written into no file.
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

    /// Reads the table called `table` of a figment, such as that of a Rocket application:
    /// `[default.human_check.check]` in `Rocket.toml` for `human_check`.
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
        Deployment::assemble(source, Arc::clone(&self.guard_setup), self.dry_run)
    }
}

impl Deployment {
    /// Returns a builder, for a deployment with more than the defaults.
    pub fn builder() -> DeploymentBuilder {
        DeploymentBuilder::new()
    }

    /// Reads the TOML file at `path`. Variables `HUMAN_CHECK__TABLE__KEY` of this process are put over it.
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
