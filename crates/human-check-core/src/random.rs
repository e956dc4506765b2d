use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that nobody can guess. The standard library seeds every `RandomState` from the operating
/// system, which saves a crate for what needs no more than that: jitter, samples, and keys that
/// never leave the process.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A number from 0 up to, and without, 1.
pub(crate) fn fraction() -> f64 {
    // 53 bits are what a float holds.
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}
