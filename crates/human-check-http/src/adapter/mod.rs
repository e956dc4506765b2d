//! What an adapter needs to call a provider and to judge its reply.
//!
//! An application does not need these names.

pub mod json;
pub mod siteverify;
mod test_secret;

pub use crate::provider_client::{CallOutcome, ResendPolicy, VerifyCall};
pub use crate::reply::timestamp;
pub use crate::request::FormBody;
pub use test_secret::{TEST_SECRET_REMEDY, refuse_test_secret};
