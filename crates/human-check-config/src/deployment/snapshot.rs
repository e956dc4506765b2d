//! One composed configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use human_check_core::{ConfigError, HumanCheck, Provider};
use human_check_guard::Guard;

use super::guard_setup::GuardSetup;
use super::route::Route;
use super::summary::summary;
use super::warnings::warnings;
use crate::ProviderKind;
use crate::compose::{Before, Composed, Composer};
use crate::context::Context;
use crate::issuer::Issuer;
use crate::model::{ANY_ROUTE, Model, ReadinessPart};
use crate::source::KeyPath;
use crate::stores::Experiments;

/// The parts of the configuration in force that requests read.
pub(crate) struct Now {
    /// The summary for the operator.
    pub(crate) summary: String,
    /// What is probably wrong or dangerous.
    pub(crate) warnings: Vec<String>,
    /// The check of all routes, without the rules of any route.
    pub(crate) check: Arc<dyn HumanCheck>,
    /// The issuers of the accounts that have a role.
    pub(crate) issuers: Vec<Issuer>,
    /// The provider whose challenges a challenge endpoint issues.
    pub(crate) issuing: Option<&'static Provider>,
}

/// One composed configuration.
pub(crate) struct Snapshot {
    /// The keys and values that it was composed from.
    pub(crate) model: Model,
    /// What is probably wrong or dangerous.
    pub(crate) warnings: Vec<String>,
    composed: Composed,
}

impl Snapshot {
    /// Composes the check of the model and builds a guard for each route with a table.
    pub(crate) fn build(
        composer: &Composer<'_>,
        model: Model,
        guard_setup: &GuardSetup,
    ) -> Result<(Self, BTreeMap<String, Guard>), ConfigError> {
        if model.routes.is_empty() {
            return Err(composer.context.wrong(
                &"routes".into(),
                "has no route, so nothing would be guarded",
                "add a table, such as [routes.signup], or [routes.\"*\"] for every route",
            ));
        }
        let wants_store = model.site.readiness.contains(&ReadinessPart::ReplayStore);
        if wants_store && model.replay_store.is_none() {
            return Err(composer.context.wrong(
                &KeyPath::site("readiness"),
                "names replay_store, and there is no table [replay_store]",
                "leave it out, or add the table",
            ));
        }
        let composed = composer.compose(&model)?;
        let secrets = composer.context.secrets.warnings();
        let warnings = warnings(&model, &secrets);
        let snapshot = Self {
            model,
            warnings,
            composed,
        };
        let mut guards = BTreeMap::new();
        for name in snapshot.model.routes.keys() {
            let guard = snapshot.guard(composer.context, name, guard_setup)?;
            // The guard of `*` is built only to find errors in its table.
            if name != ANY_ROUTE {
                guards.insert(name.clone(), guard);
            }
        }
        Ok((snapshot, guards))
    }

    /// Builds the guard of the route called `name` from its own table, or from that of
    /// `[routes."*"]`.
    pub(crate) fn guard(
        &self,
        context: &Context<'_>,
        name: &str,
        guard_setup: &GuardSetup,
    ) -> Result<Guard, ConfigError> {
        let routes = &self.model.routes;
        let own = routes.get_key_value(name);
        let Some((table_name, table)) = own.or_else(|| routes.get_key_value(ANY_ROUTE)) else {
            return Err(context.wrong(
                &KeyPath::route(name),
                "was removed, and the running program still guards this route",
                "put the table back; restart the program to remove a route",
            ));
        };
        let route = Route {
            name,
            table,
            path: KeyPath::route(table_name),
            site: &self.model.site,
        };
        route.guard(context, &self.model, &self.composed, guard_setup)
    }

    /// Returns what the next configuration takes over.
    pub(crate) fn before(&self) -> Before<'_> {
        Before {
            model: &self.model,
            accounts: &self.composed.accounts,
        }
    }

    /// Puts the plan of the experiment in force, or ends the experiment of before.
    pub(crate) fn begin_experiment(&self, experiments: &Experiments) {
        let experiment = self.composed.experiment.as_ref();
        experiments.begin(experiment.and_then(|experiment| experiment.next.as_ref()));
    }

    /// Returns the parts that requests read.
    pub(crate) fn now(&self) -> Now {
        Now {
            summary: summary(&self.model),
            warnings: self.warnings.clone(),
            check: Arc::clone(&self.composed.check),
            issuers: self.composed.issuers.clone(),
            issuing: issuing(&self.model),
        }
    }
}

/// Returns the provider whose challenges pages fetch: that of an account with a role before one
/// without, and altcha before CaptchaLa.
fn issuing(model: &Model) -> Option<&'static Provider> {
    let used = model.accounts();
    let issuing = model
        .providers
        .iter()
        .filter(|(_, table)| table.kind.issues_challenges());
    let first = issuing.min_by_key(|(name, table)| {
        (
            !used.contains(&name.as_str()),
            !ProviderKind::is_self_hosted(table.kind),
        )
    });
    first.map(|(_, table)| table.kind.provider())
}
