//! Places for simulated scenes.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many emulators may be started beside the visitors' one.
const STAGES: usize = 4;

/// Places for scenes. Each has an emulator of its own, so that nobody else meets its faults.
#[derive(Debug)]
pub(crate) struct Stages(Semaphore);

impl Stages {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(STAGES))
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.acquire().await.ok()
    }
}
