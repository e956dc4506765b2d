#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "altcha")]
mod altcha_config;
mod compose;
mod deployment;
mod deployment_builder;
mod duration;
mod model;
mod provider_config;
mod provider_kind;
mod reload;
mod reloading_issuer;
mod route;
#[cfg(feature = "schema")]
mod schema;
mod source;
mod stores;
mod summary;
mod transport;
mod watch;

#[cfg(feature = "altcha")]
pub use altcha_config::AltchaConfig;
pub use compose::{NamedProvider, load_accounts};
pub use deployment::Deployment;
pub use deployment_builder::DeploymentBuilder;
pub use provider_config::{ProviderConfig, parse_base_url};
pub use provider_kind::{EnterpriseKeyKind, ProviderKind};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use watch::Watch;
