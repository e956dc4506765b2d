//! Tests that need several crates but no web framework.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "helpers that take values are shorter to call"
)]

mod altcha;
mod architecture;
mod browser;
mod captchala;
mod circuit_breaker;
mod combinators;
mod conformance;
mod connections;
mod construction;
mod contradictions;
mod diagnosis;
mod docs;
mod dual_accept;
mod emulator;
mod enterprise;
mod experiment;
mod failover;
mod fault_matrix;
mod faults;
mod import_cycles;
mod limits;
mod log;
mod metrics;
mod missing_members;
mod mutation;
mod ops;
mod quota;
mod replay;
mod secret_leaks;
#[path = "../../crates/human-check-redis/tests/redis/server.rs"]
mod server;
mod shadow;
mod soak;
mod support;
mod tls;
mod vectors;
mod vocabulary;
