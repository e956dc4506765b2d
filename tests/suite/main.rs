//! All suites in one binary.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "comparisons read better by value"
)]

mod absence;
mod accept;
mod altcha;
mod bounds;
mod breaker;
mod browser;
mod canary;
mod captchala;
mod combinators;
mod conformance;
mod construction;
mod contradictions;
mod docs;
mod emulator;
mod enterprise;
mod failover;
mod fault_matrix;
mod faults;
mod mutation;
mod shadow;
mod single_use;
mod soak;
mod support;
mod tls;
mod vectors;
mod walls;
