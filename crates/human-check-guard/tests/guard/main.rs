//! The decisions and the responses of a guard, without a framework.
#![allow(clippy::unwrap_used)]

mod decision;
mod support;
mod with_token;
