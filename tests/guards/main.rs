//! Tests of the three framework integrations over real sockets.
//!
//! The applications are the examples of this repository, so the tests cover the code that users
//! copy.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "frameworks pass values to handlers"
)]

mod actix_only;
mod axum_only;
mod bodies;
mod body_kinds;
mod client;
mod custom_responses;
mod fixture;
mod framing;
mod health;
mod http2;
mod proof_of_work;
mod providers;
mod rocket_only;
mod selection;
mod withheld;
