use std::time::Duration;

/// The timeouts and sizes of a [`ProviderClient`](crate::ProviderClient).
///
/// ```
/// use human_check_http::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// limits.total_timeout = Duration::from_secs(2);
/// limits.attempt_timeout = Duration::from_millis(1_500);
/// assert_eq!(limits.max_reply_bytes, 65_536);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How long one attempt may take, including the time to connect. Default 2 seconds.
    pub attempt_timeout: Duration,
    /// How long a check may take in total, including a second attempt. Default 3 seconds, at most
    /// an hour.
    pub total_timeout: Duration,
    /// How many checks of one adapter may be in flight. Default 512.
    ///
    /// Further ones end in [`ErrorKind::Declined`](human_check_core::ErrorKind::Declined) with the
    /// reason `too-many-in-flight`; see [`InFlightLimit`](human_check_core::adapter::InFlightLimit).
    pub max_in_flight: usize,
    /// The maximum size of a reply's body, in bytes. Default 65,536 (64 KiB).
    ///
    /// A larger reply is [`ErrorKind::Protocol`](human_check_core::ErrorKind::Protocol) with the
    /// reason `reply-too-large`.
    pub max_reply_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(2),
            total_timeout: Duration::from_secs(3),
            max_in_flight: 512,
            max_reply_bytes: 65_536,
        }
    }
}
