//! What a deployment may say, key by key. Nothing here is checked beyond its shape.
//!
//! A TOML file, variables and a figment are three syntaxes of this one model.

mod check;
mod outage_policy;
mod provider;
mod route;
mod secret_ref;
mod site;
mod store;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use check::{CheckTable, DualAcceptTable, ShadowTable};
pub(crate) use outage_policy::OutagePolicy;
pub(crate) use provider::{CircuitBreakerTable, ProviderTable};
pub(crate) use route::{ChallengeTable, RouteTable};
pub(crate) use secret_ref::SecretRef;
pub(crate) use site::SiteTable;
pub(crate) use store::{StoreKind, StoreTable};

/// The name of the route whose table holds for every route without a table of its own.
pub(crate) const ANY_ROUTE: &str = "*";

/// How human-check stands in front of an application: providers, how they work together, and routes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The accounts with providers, each by a name of yours. Accounts that nothing refers to are not
    /// set up.
    pub(crate) providers: BTreeMap<String, ProviderTable>,
    /// Which account judges, and which ones beside it.
    pub(crate) check: CheckTable,
    /// Where accepted tokens are claimed, so that each is accepted once.
    pub(crate) replay_store: Option<StoreTable>,
    /// Where attempts are counted, for routes that challenge only after some. Default: in memory.
    pub(crate) attempt_store: Option<StoreTable>,
    /// What all routes share.
    #[serde(default)]
    pub(crate) site: SiteTable,
    /// The routes, each by the name that the application, logs and metrics know it by. The table
    /// `[routes."*"]` holds for routes without a table of their own.
    pub(crate) routes: BTreeMap<String, RouteTable>,
}

/// The accounts of a file, whatever else is in it.
#[derive(Debug, Deserialize)]
pub(crate) struct ProviderTables {
    pub(crate) providers: BTreeMap<String, ProviderTable>,
}
