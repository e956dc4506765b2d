//! What a crate that fits the guard to a web framework needs.
//!
//! Applications never name anything in here.

mod body_kind;
mod guarded_request;
mod proof_types;

pub use body_kind::{BodyKind, BodyLimit};
pub use guarded_request::GuardedRequest;

pub use crate::challenge_endpoint::PendingChallenge;
pub use crate::decision::{Decision, FromDecision, Inspected, Pending, prefers_html};
pub use crate::tokens::{
    FieldId, FieldsScope, SubmittedTokens, TokenFields, WithToken, current_fields, extracting, scan,
};
#[doc(inline)]
pub use crate::{checked_types, proof_types};
