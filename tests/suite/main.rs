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
#[path = "../../crates/human-check-redis/tests/redis/fleet.rs"]
#[allow(dead_code, reason = "the tests of the stores use more of it")]
mod fleet;
mod import_cycles;
mod limits;
mod log;
mod metrics;
mod missing_members;
mod mutation;
mod ops;
#[path = "../../crates/human-check-postgres/tests/postgres/server.rs"]
mod postgres_server;
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
