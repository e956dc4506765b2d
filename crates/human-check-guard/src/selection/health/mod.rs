//! Whether an account works, by evidence that no client can produce.

mod account_health;
mod failing_verifications;
mod hold;
mod outcome;
mod probe_budget;
mod probe_state;
mod single_flight;

pub(crate) use account_health::{AccountHealth, Settings};
pub(crate) use outcome::Outcome;
