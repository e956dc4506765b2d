use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::HumanCheck;
use human_check_http::ProviderClient;

use crate::context::Context;
use crate::registered::Registered;
use crate::stores::{Sinks, Stores};

/// How long all claims of one decision may take. It comes on top of `check.timeout`.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// A check that several guards share.
pub(super) type Shared = Arc<dyn HumanCheck>;

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
    /// The adapters that the program registered in code.
    pub(crate) registered: &'a Registered,
    /// Whether the configuration is checked and not put in force.
    pub(crate) dry_run: bool,
    /// The time that a sunset is compared with.
    pub(crate) now: SystemTime,
}
