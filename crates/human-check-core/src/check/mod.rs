//! The trait [`HumanCheck`] and what a call of it takes: the submission, providers, secrets,
//! challenges.

mod challenge;
mod health;
mod human_check;
mod provider;
mod secret;
mod submission;

pub use challenge::{Challenge, ChallengeIssuer, ChallengeRequest};
pub(crate) use health::is_local;
pub use health::{Health, junk_submission};
pub use human_check::HumanCheck;
pub use provider::Provider;
pub use secret::{Secret, TestKeyPolicy};
pub use submission::{MAX_TOKEN_BYTES, Submission};
