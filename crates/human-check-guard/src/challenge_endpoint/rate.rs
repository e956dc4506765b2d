use std::sync::Arc;
use std::time::Duration;

use crate::{AttemptKey, AttemptStore};

/// How many challenges one address gets.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) attempts: Arc<dyn AttemptStore>,
    pub(super) max_requests: u32,
    pub(super) window: Duration,
}

impl Rate {
    /// Counts a request, and returns which one of the window it is. A store that fails counts as
    /// the last one that is let through.
    pub(super) async fn count(&self, key: &AttemptKey) -> u32 {
        match self.attempts.add(key, self.window).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(
                    target: "human_check_guard",
                    error = &error as &dyn std::error::Error,
                    "challenges are not counted"
                );
                self.max_requests
            }
        }
    }
}
