//! The types that threads share, from `std` or from loom.
//!
//! A build with `--cfg loom` takes them from loom, whose tests run every interleaving of the
//! threads.

#[cfg(all(loom, feature = "replay"))]
pub(crate) use loom::sync::atomic::AtomicUsize;
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(all(not(loom), feature = "replay"))]
pub(crate) use std::sync::atomic::AtomicUsize;
#[cfg(feature = "replay")]
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks `mutex`, and ignores that a thread may have panicked while it held the lock.
///
/// No code of this crate panics while it holds a lock. If it did, the guarded value would still be
/// valid.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
