use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A task of which one runs at a time.
#[derive(Debug, Default)]
pub(super) struct SingleFlight {
    is_running: AtomicBool,
    ended: Notify,
}

/// The permission to run the task. The task ends when it is dropped, also by a runtime that stops.
#[derive(Debug)]
pub(super) struct Running(Arc<SingleFlight>);

impl SingleFlight {
    /// Returns the permission to run the task. `None` if it is running.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Running> {
        let was_running = self.is_running.swap(true, Ordering::AcqRel);
        (!was_running).then(|| Running(Arc::clone(self)))
    }

    /// Waits until the task is not running.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Registered before the flag is read, so that no end is missed.
            ended.as_mut().enable();
            if !self.is_running.load(Ordering::Acquire) {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
        self.0.ended.notify_waiters();
    }
}
