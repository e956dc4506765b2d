//! What a guard decides and tokens, without any framework.
#![allow(clippy::unwrap_used)]

mod decision;
mod support;
mod with_token;
