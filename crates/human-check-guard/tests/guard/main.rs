//! What a guard decides and answers, without any framework.
#![allow(clippy::unwrap_used)]

mod decision;
mod support;
mod tap;
