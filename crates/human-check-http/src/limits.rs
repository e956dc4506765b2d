use std::time::Duration;

use human_check_core::MAX_TOKEN_BYTES;

/// Deadlines and sizes of an [`ProviderClient`](crate::ProviderClient).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How long one attempt may take, connecting included. Default 2 seconds.
    pub attempt_timeout: Duration,
    /// How long a check may take with everything: connecting, repeating, reading. Default 3 seconds.
    pub total_timeout: Duration,
    /// The longest reply that is read, in bytes. Default 64 KiB.
    pub max_reply_bytes: usize,
    /// The longest token that is asked about, in bytes. Default 8,192.
    pub max_token_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(3),
            max_reply_bytes: 65_536,
            max_token_bytes: MAX_TOKEN_BYTES,
        }
    }
}
