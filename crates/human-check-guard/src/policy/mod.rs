//! What a route demands, and when it challenges a visitor.

mod attempts;
mod memory_attempt_store;
mod route_policy;
mod trigger;

pub(crate) use attempts::add_attempt;
pub use attempts::{AttemptKey, AttemptStore, AttemptStoreError, probe_attempt_store};
pub use memory_attempt_store::MemoryAttemptStore;
pub use route_policy::RoutePolicy;
pub use trigger::{Signals, Trigger};
