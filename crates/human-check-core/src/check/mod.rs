//! The trait, and what goes into a call of it.

mod challenge;
mod human_check;
mod provider;
mod secret;
mod submission;

pub use challenge::{Challenge, ChallengeIssuer, ChallengeRequest};
pub use human_check::HumanCheck;
pub use provider::Provider;
pub use secret::{Secret, TestKeyPolicy};
pub use submission::{MAX_TOKEN_BYTES, Submission};
