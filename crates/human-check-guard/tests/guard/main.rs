//! The decisions and the responses of a guard, without a framework.
#![allow(clippy::unwrap_used)]

mod decision;
mod streaks;
mod support;
mod twins;
mod with_token;
