//! Suites that span the crates; they are in `suite/`.

/// The README's example must run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
