use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::HumanCheck;
use human_check_guard::Account;
use human_check_http::ProviderClient;

use crate::context::Context;
use crate::model::{Model, ProviderTable};
use crate::registered::Registered;
use crate::stores::{Experiments, Sinks, Stores};

/// How long all claims of one decision may take. It comes on top of `check.timeout`.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// A check that several guards share.
pub(super) type Shared = Arc<dyn HumanCheck>;

/// The accounts of the configuration that the next one replaces.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) model: &'a Model,
    pub(crate) accounts: &'a BTreeMap<String, Account>,
}

impl Before<'_> {
    /// Returns the account called `name`, if it calls the same services as that of `next`.
    pub(super) fn account(&self, name: &str, next: &Model) -> Option<&Account> {
        let is_same = services(self.model, name) == services(next, name);
        self.accounts.get(name).filter(|_| is_same)
    }
}

/// Returns what tells apart the services that an account calls: its own, and that of its failover. What
/// is known of one service says nothing about another.
fn services(model: &Model, name: &str) -> Vec<Option<impl PartialEq>> {
    let failover = model.check.failover.as_deref();
    let failover = failover.filter(|_| model.check.account == name);
    let service = |name: &str| {
        let table: &ProviderTable = model.providers.get(name)?;
        Some((
            (table.kind, table.registered_kind.clone()),
            (table.base_url.clone(), table.instance.clone()),
            (table.script_url.clone(), table.probe_script),
        ))
    };
    std::iter::once(name).chain(failover).map(service).collect()
}

/// Builds the check that a model describes.
pub(crate) struct Composer<'a> {
    /// The document that the model was read from.
    pub(crate) context: &'a Context<'a>,
    /// The client that all accounts share.
    pub(crate) client: &'a ProviderClient,
    /// The stores of the deployment, which outlive a reload.
    pub(crate) stores: &'a Stores,
    /// The files of comparisons, which outlive a reload.
    pub(crate) sinks: &'a Sinks,
    /// The experiments that have run.
    pub(crate) experiments: &'a Experiments,
    /// The adapters that the program registered in code.
    pub(crate) registered: &'a Registered,
    /// The configuration in force, whose accounts know whether they are down.
    pub(crate) before: Option<Before<'a>>,
    /// Whether the configuration is checked and not put in force.
    pub(crate) dry_run: bool,
    /// The time that a sunset is compared with.
    pub(crate) now: SystemTime,
}
