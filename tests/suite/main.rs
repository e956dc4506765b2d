//! All suites in one binary.

mod absence;
mod canary;
mod captchala;
mod conformance;
mod construction;
mod emulator;
mod enterprise;
mod faults;
mod mutation;
mod support;
mod vectors;
mod walls;
