//! The keys and values of a configuration. Only their shape is checked here.
//!
//! A TOML file, variables and a figment are three syntaxes of this one model. The comments of the
//! fields are also the descriptions in the JSON schema.

mod accounts;
mod check;
#[cfg(feature = "siteverify")]
mod dialect;
mod experiment;
mod outage_policy;
mod provider;
mod proxy_ref;
mod route;
mod secret_ref;
mod site;
mod store;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use accounts::{
    AccountsTable, ClearanceTable, Demand, OnWidgetFailure, StepUpTable, Trouble,
};
pub(crate) use check::{CheckTable, DualAcceptTable, ShadowTable, Sunset};
#[cfg(feature = "siteverify")]
pub(crate) use dialect::{DialectTable, MarkupTable};
pub(crate) use experiment::ExperimentTable;
pub(crate) use outage_policy::OutagePolicy;
pub(crate) use provider::{CircuitBreakerTable, ProviderTable};
pub(crate) use proxy_ref::ProxyRef;
pub(crate) use route::{ChallengeTable, RouteTable};
pub(crate) use secret_ref::SecretRef;
pub(crate) use site::{ReadinessPart, SiteTable};
pub(crate) use store::{StoreKind, StoreTable};

/// The name of the table in `[routes]` that holds for every route without a table of its own.
pub(crate) const ANY_ROUTE: &str = "*";

/// A deployment of human-check: accounts with providers, their roles, and the rules of the routes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The accounts with providers, each under a name of the operator's choice. An account without
    /// a role is not set up.
    pub(crate) providers: BTreeMap<String, ProviderTable>,
    /// Which account judges, and which other accounts have a role.
    pub(crate) check: CheckTable,
    /// The store that claims accepted tokens, so that each is accepted once. Default: none.
    pub(crate) replay_store: Option<StoreTable>,
    /// The store that counts requests, for routes that challenge only after some. Default: in
    /// memory.
    pub(crate) attempt_store: Option<StoreTable>,
    /// A randomised experiment between accounts. Default: none.
    pub(crate) experiment: Option<ExperimentTable>,
    /// The settings that all routes share.
    #[serde(default)]
    pub(crate) site: SiteTable,
    /// The routes, each by the name that the application, logs and metrics know it by. The table
    /// `[routes."*"]` holds for routes without a table of their own.
    pub(crate) routes: BTreeMap<String, RouteTable>,
}

impl Model {
    /// Returns the names of all accounts that have a role, for all routes or for one.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        let mut all = self.check.accounts();
        let arms = self.experiment.iter().flat_map(|table| table.arms.keys());
        all.extend(arms.map(String::as_str));
        for route in self.routes.values() {
            let lists = route.by_host.values().chain(route.by_country.values());
            let of_lists =
                lists.flat_map(|list| std::iter::once(&list.account).chain(&list.fallback));
            let own = route.account.iter().chain(route.fallback.iter().flatten());
            let step_up = route.step_up.iter().map(|step_up| &step_up.to);
            all.extend(own.chain(of_lists).chain(step_up).map(String::as_str));
        }
        all
    }

    /// Returns whether a visitor may meet an account other than the one that judges.
    pub(crate) fn has_fallback(&self) -> bool {
        let of_route = |route: &RouteTable| {
            let mut lists = route.by_host.values().chain(route.by_country.values());
            let own = route
                .fallback
                .as_ref()
                .is_some_and(|names| !names.is_empty());
            own || lists.any(|list| !list.fallback.is_empty())
        };
        !self.check.fallback.is_empty() || self.routes.values().any(of_route)
    }

    /// Returns whether machines must agree on signed statements: offers or clearances.
    pub(crate) fn needs_offer_keys(&self) -> bool {
        let mut routes = self.routes.values();
        self.has_fallback()
            || self.experiment.is_some()
            || routes.any(|route| route.step_up.is_some() || route.accept_clearance.is_some())
            || self.has_dual_accept_of_one_kind()
    }

    /// Returns whether both accounts of the dual accept have one kind.
    pub(crate) fn has_dual_accept_of_one_kind(&self) -> bool {
        let kind = |name: &String| {
            let table = self.providers.get(name)?;
            // Accounts of these kinds have providers of their own.
            let is_own = matches!(table.kind.as_str(), "registered" | "siteverify");
            (!is_own).then_some(table.kind)
        };
        let accept = self.check.dual_accept.as_ref();
        accept.is_some_and(|accept| {
            kind(&accept.account).is_some() && kind(&accept.account) == kind(&self.check.account)
        })
    }
}

/// The accounts of a file. Its other tables are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct ProviderTables {
    pub(crate) providers: BTreeMap<String, ProviderTable>,
}
