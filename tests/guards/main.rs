//! The three frameworks in front of the same routes, through real sockets.
//!
//! The applications are the examples, so what is tested is what people copy.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

mod bodies;
mod client;
mod fixture;
mod framing;
mod own_answers;
mod sources;
mod vendors;
