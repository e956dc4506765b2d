use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a number that a client cannot predict.
///
/// The standard library seeds every `RandomState` from the operating system. That is enough for the
/// uses here: jitter, samples, and keys that never leave the process. So no further crate is
/// needed.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns a random number that is at least 0 and below 1.
pub(crate) fn fraction() -> f64 {
    // An f64 holds 53 significant bits.
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}
