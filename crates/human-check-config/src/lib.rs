#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(
    feature = "altcha",
    feature = "captchala",
    feature = "hcaptcha",
    feature = "recaptcha",
    feature = "siteverify",
    feature = "turnstile"
)))]
compile_error!("a configuration needs a provider: turn on a feature such as `turnstile`");

#[cfg(feature = "altcha")]
mod altcha_config;
mod compose;
mod context;
mod deployment;
mod diagnosis;
mod duration;
mod issuer;
mod keys;
mod model;
#[cfg(any(feature = "recaptcha", feature = "turnstile"))]
mod previous_secret;
mod provider_config;
mod provider_kind;
mod registered;
#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "siteverify")]
mod siteverify_config;
mod source;
mod stores;
mod suggestion;
mod transport;

#[cfg(feature = "altcha")]
pub use altcha_config::AltchaConfig;
pub use compose::{NamedProvider, load_account, load_accounts};
pub use deployment::{Deployment, DeploymentBuilder, Watch};
pub use diagnosis::{AccountUse, Diagnosis, Finding, Level};
pub use provider_config::{ProviderConfig, parse_base_url};
pub use provider_kind::{EnterpriseKeyKind, ProviderKind};
pub use registered::{AdapterSettings, RegisteredCheck};
#[cfg(feature = "schema")]
pub use schema::schema;
