//! A limit for simulations.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many simulations run at a time.
const STAGES: usize = 4;

/// Limits how many simulations run at a time. Each starts an emulator of its own, so that its
/// faults do not affect other visitors.
#[derive(Debug)]
pub(crate) struct Stages(Semaphore);

impl Stages {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(STAGES))
    }

    /// Waits until a simulation may run. It may run as long as the permit is held.
    pub(crate) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so this is always a permit.
        self.0.acquire().await.ok()
    }
}
