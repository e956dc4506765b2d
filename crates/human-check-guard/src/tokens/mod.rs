//! The fields of a request that hold tokens, and how the tokens are found in a body.

mod fields;
mod pairs;
pub mod scan;
mod token_copy;
mod token_value;
mod with_token;
mod withheld;

pub(crate) use fields::{Accepted, FoundOffer, Sorted};
pub use fields::{FieldId, SubmittedTokens, TokenFields};
pub use with_token::{FieldsScope, FormWithToken, WithToken, current_fields, extracting};
pub use withheld::report_withheld;
