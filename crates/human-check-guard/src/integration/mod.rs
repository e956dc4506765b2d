//! The parts for a crate that connects the guard to a web framework.
//!
//! The crates for actix-web, axum and Rocket are made of them. An application does not need these
//! names, except [`FromDecision`] for a demand of its own.
//!
//! [`GuardedRequest`] guides one request through all steps. A framework crate implements
//! [`RequestHead`](crate::RequestHead), reads the body within a [`BodyLimit`], and finds the tokens
//! with [`extracting`] and [`WithToken`], or with [`scan`].

mod body_kind;
mod guarded_request;
mod held_body;
mod proof_types;

pub use body_kind::{BodyKind, BodyLimit};
pub use guarded_request::GuardedRequest;
pub use held_body::{BodyBudget, HeldBody};

pub use crate::challenge_endpoint::PendingChallenge;
pub use crate::decision::{Decision, FromDecision, Inspected, Pending, prefers_html};
pub use crate::options_endpoint::PendingOptions;
pub use crate::tokens::{
    FieldId, FieldsScope, FormWithToken, SubmittedTokens, TokenFields, WithToken, current_fields,
    extracting, report_withheld, scan,
};
#[doc(inline)]
pub use crate::{checked_types, proof_types};
