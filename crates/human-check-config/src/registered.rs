//! Adapters that a program registers in code, and that a configuration names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use human_check_core::{ConfigError, HumanCheck, Secret, Widget};
use human_check_http::ProviderClient;

/// The settings of an account whose kind a program registered with
/// [`DeploymentBuilder::with_adapter`](crate::DeploymentBuilder::with_adapter).
#[derive(Debug)]
#[non_exhaustive]
pub struct AdapterSettings {
    /// The name of the account.
    pub name: String,
    /// The client for calls to the provider, with the deployment's timeouts and limits.
    pub client: ProviderClient,
    /// The site key, if the account has one.
    pub site_key: Option<String>,
    /// The secret, if the account refers to one.
    pub secret: Option<Secret>,
    /// The form fields that the token arrives in, if the account renames them.
    pub fields: Vec<String>,
    /// The keys of the table `settings` of the account, as texts.
    pub settings: BTreeMap<String, String>,
}

/// The check of an account, and the widget that pages show for it.
#[derive(Debug)]
pub struct RegisteredCheck {
    pub(crate) check: Box<dyn HumanCheck>,
    pub(crate) widget: Option<Widget>,
}

impl RegisteredCheck {
    /// Creates the result of a registered adapter, without a widget.
    pub fn new(check: impl HumanCheck) -> Self {
        Self {
            check: Box::new(check),
            widget: None,
        }
    }

    /// Sets the widget that pages show. Default: pages write it themselves.
    #[must_use]
    pub fn with_widget(mut self, widget: Widget) -> Self {
        self.widget = Some(widget);
        self
    }
}

type Build = dyn Fn(AdapterSettings) -> Result<RegisteredCheck, ConfigError> + Send + Sync;

/// The registered adapters, by the name of their kind.
#[derive(Clone, Default)]
pub(crate) struct Registered(BTreeMap<String, Arc<Build>>);

impl Registered {
    pub(crate) fn add(
        &mut self,
        kind: String,
        build: impl Fn(AdapterSettings) -> Result<RegisteredCheck, ConfigError> + Send + Sync + 'static,
    ) {
        self.0.insert(kind, Arc::new(build));
    }

    /// Returns the names of the kinds.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Builds the check of an account of this kind. `None` if the kind is not registered.
    pub(crate) fn build(
        &self,
        kind: &str,
        settings: AdapterSettings,
    ) -> Option<Result<RegisteredCheck, ConfigError>> {
        self.0.get(kind).map(|build| build(settings))
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
