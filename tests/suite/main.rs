//! All suites in one binary.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "comparisons read better by value"
)]

mod altcha;
mod architecture;
mod browser;
mod captchala;
mod circles;
mod circuit_breaker;
mod combinators;
mod conformance;
mod construction;
mod contradictions;
mod docs;
mod dual_accept;
mod emulator;
mod enterprise;
mod failover;
mod fault_matrix;
mod faults;
mod limits;
mod missing_members;
mod mutation;
mod replay;
mod secret_leaks;
mod shadow;
mod soak;
mod support;
mod tls;
mod vectors;
