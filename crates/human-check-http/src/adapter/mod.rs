//! What the author of an adapter needs to call a provider and to judge its reply. Applications do
//! not need these names.
//!
//! - [`VerifyCall`], [`ResendPolicy`] and [`FormBody`] describe the call.
//! - [`json`] reads a reply strictly. [`siteverify`] reads replies in the form that most providers
//!   use.
//! - [`TokenFormat`] reads the token. [`refuse_test_secret`], [`page_host`] and [`timestamp`] are
//!   helpers.
//!
//! docs/how-to/writing-an-adapter.md in the repository shows a complete adapter.

pub mod json;
mod page_host;
pub mod siteverify;
mod test_secret;
mod token_format;

pub use crate::provider_client::{CallOutcome, ResendPolicy, VerifyCall};
pub use crate::reply::timestamp;
pub use crate::request::FormBody;
pub use page_host::page_host;
pub use test_secret::{TEST_SECRET_REMEDY, refuse_test_secret};
pub use token_format::TokenFormat;
