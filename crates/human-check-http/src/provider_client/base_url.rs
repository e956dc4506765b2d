use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use human_check_core::Provider;

use crate::Endpoint;

/// The base URL that replaces the host of one provider.
#[derive(Clone)]
pub(super) struct BaseUrl {
    provider: Provider,
    base: Endpoint,
    /// The last endpoint and its replacement. An adapter has few endpoints, so most calls need not
    /// build a URL.
    last: Arc<Mutex<Option<(Endpoint, Endpoint)>>>,
}

impl BaseUrl {
    pub(super) fn new(provider: Provider, base: Endpoint) -> Self {
        Self {
            provider,
            base,
            last: Arc::default(),
        }
    }

    /// Returns whether it replaces the host of `provider`.
    pub(super) fn is_for(&self, provider: &Provider) -> bool {
        self.provider == *provider
    }

    /// Returns the endpoint below the base URL that replaces `own`.
    pub(super) fn endpoint(&self, own: &Endpoint) -> Endpoint {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, rebased)) if known.ptr_eq(own) => rebased.clone(),
            _ => {
                let rebased = own.rebased(&self.base);
                *last = Some((own.clone(), rebased.clone()));
                rebased
            }
        }
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.provider, self.base.url())
    }
}
