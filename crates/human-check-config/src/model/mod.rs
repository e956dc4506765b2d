//! The keys and values of a configuration. Only their shape is checked here.
//!
//! A TOML file, variables and a figment are three syntaxes of this one model. The comments of the
//! fields are also the descriptions in the JSON schema.

mod check;
#[cfg(feature = "siteverify")]
mod dialect;
mod outage_policy;
mod provider;
mod proxy_ref;
mod route;
mod secret_ref;
mod site;
mod store;

use std::collections::BTreeMap;

use serde::Deserialize;

pub(crate) use check::{CheckTable, DualAcceptTable, ShadowTable};
#[cfg(feature = "siteverify")]
pub(crate) use dialect::{DialectTable, MarkupTable};
pub(crate) use outage_policy::OutagePolicy;
pub(crate) use provider::{CircuitBreakerTable, ProviderTable};
pub(crate) use proxy_ref::ProxyRef;
pub(crate) use route::{ChallengeTable, RouteTable};
pub(crate) use secret_ref::SecretRef;
pub(crate) use site::SiteTable;
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
    /// The settings that all routes share.
    #[serde(default)]
    pub(crate) site: SiteTable,
    /// The routes, each by the name that the application, logs and metrics know it by. The table
    /// `[routes."*"]` holds for routes without a table of their own.
    pub(crate) routes: BTreeMap<String, RouteTable>,
}

/// The accounts of a file. Its other tables are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct ProviderTables {
    pub(crate) providers: BTreeMap<String, ProviderTable>,
}
