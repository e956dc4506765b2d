use std::sync::Arc;
use std::time::Duration;

use crate::policy::{add_attempt, uncounted};
use crate::{AttemptKey, AttemptStore};

/// The limit on the challenges that one address fetches, and the store that counts them.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) attempts: Arc<dyn AttemptStore>,
    pub(super) max_requests: u32,
    pub(super) window: Duration,
}

impl Rate {
    /// Counts a request, and returns its number within the window, beginning with 1.
    ///
    /// If the store fails, the result is the highest number that the limit allows: the request
    /// passes, and the issuer may issue its hardest challenge.
    pub(super) async fn count(&self, key: &AttemptKey) -> u32 {
        match add_attempt(&*self.attempts, key, self.window).await {
            Ok(count) => count,
            Err(error) => {
                uncounted("challenge");
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
