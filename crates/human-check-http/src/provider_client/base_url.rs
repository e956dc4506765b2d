use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use human_check_core::Provider;

use crate::Endpoint;

/// Where calls of one provider go instead of its own host.
#[derive(Clone)]
pub(super) struct BaseUrl {
    provider: Provider,
    base: Endpoint,
    /// The last endpoint and what it became: an adapter calls few, and a URL is not built for each call.
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

    pub(super) fn is_for(&self, provider: &Provider) -> bool {
        self.provider == *provider
    }

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
