//! Where tokens stand in a request, and how they are found.

mod fields;
pub mod scan;
mod with_token;

pub(crate) use fields::Sorted;
pub use fields::{FieldId, SubmittedTokens, TokenFields};
pub use with_token::{FieldsScope, WithToken, current_fields, extracting};
