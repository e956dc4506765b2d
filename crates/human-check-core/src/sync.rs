//! What the state machines share between threads, from loom where it tries all interleavings.

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

/// Nothing here panics with the lock held, and if it did, what it guards would still be sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
