//! The three frameworks in front of the same routes, through real sockets.
//!
//! The applications are the examples, so what is tested is what people copy.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "frameworks hand handlers values"
)]

mod actix_only;
mod axum_only;
mod bodies;
mod body_kinds;
mod client;
mod custom_responses;
mod fixture;
mod framing;
mod http2;
mod proof_of_work;
mod providers;
mod rocket_only;
