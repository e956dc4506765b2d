//! What a route demands, and when it challenges a visitor.

mod attempts;
mod memory_attempt_store;
mod route_policy;
mod trigger;

pub use attempts::{AttemptKey, AttemptStore, AttemptStoreError, probe_attempt_store};
pub(crate) use attempts::{add_attempt, uncounted};
pub use memory_attempt_store::MemoryAttemptStore;
pub use route_policy::RoutePolicy;
pub use trigger::{Signals, Trigger};
