use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_core::HumanCheck;
use human_check_http::ProviderClient;

use crate::context::Context;
use crate::stores::{Sinks, Stores};

/// How long all claims of one decision may take, after the providers.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) type Shared = Arc<dyn HumanCheck>;

/// Builds the check that a model describes.
pub(crate) struct Composer<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) client: &'a ProviderClient,
    pub(crate) stores: &'a Stores,
    pub(crate) sinks: &'a Sinks,
    pub(crate) now: SystemTime,
}
