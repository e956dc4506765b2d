//! One configuration, composed.

use std::collections::BTreeMap;
use std::sync::Arc;

use human_check_core::{ConfigError, HumanCheck, Provider};
use human_check_guard::Guard;

use super::guard_setup::GuardSetup;
use super::route::Route;
use super::summary::summary;
use crate::ProviderKind;
use crate::compose::{Composed, Composer};
use crate::context::Context;
use crate::issuer::Issuer;
use crate::model::{ANY_ROUTE, Model};
use crate::source::KeyPath;

/// The configuration in force, as far as requests look at it.
pub(crate) struct Now {
    pub(crate) summary: String,
    pub(crate) check: Arc<dyn HumanCheck>,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) issuing: Option<&'static Provider>,
}

/// One configuration, composed.
pub(crate) struct Snapshot {
    pub(crate) model: Model,
    composed: Composed,
}

impl Snapshot {
    /// Composes the model, and a guard for each route with a table.
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
        let composed = composer.compose(&model)?;
        let snapshot = Self { model, composed };
        let mut guards = BTreeMap::new();
        for name in snapshot.model.routes.keys() {
            let guard = snapshot.guard(composer.context, name, guard_setup)?;
            // Built to see that it can be, and named after the route that asks for it.
            if name != ANY_ROUTE {
                guards.insert(name.clone(), guard);
            }
        }
        Ok((snapshot, guards))
    }

    /// The guard of a route, by its own table or that of any route.
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
                "is gone, and the program still guards that route with it",
                "put the table back; restart the program to remove a route",
            ));
        };
        let route = Route {
            name,
            table,
            path: KeyPath::route(table_name),
            site: &self.model.site,
        };
        route.guard(context, &self.composed, guard_setup)
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            summary: summary(&self.model),
            check: Arc::clone(&self.composed.check),
            issuers: self.composed.issuers.clone(),
            issuing: issuing(&self.model),
        }
    }
}

/// Whose challenges pages fetch. An account in use comes before one that waits in the file.
fn issuing(model: &Model) -> Option<&'static Provider> {
    let used = model.check.accounts();
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
