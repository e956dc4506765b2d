use std::time::Duration;

/// The limits of a guard on the bodies that it reads: their size, and the time for reading them.
///
/// A larger body is refused with 413, a slower one with 408. The check is not called, so the token
/// stays unused. Frameworks have limits of their own; the smaller limit holds.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_guard::{BodyLimits, Guard, RoutePolicy};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let limits = BodyLimits::default()
///     .with_max_upload_bytes(10 * 1024 * 1024)
///     .with_upload_timeout(Duration::from_secs(120));
/// let guard = Guard::builder(turnstile)
///     .with_body_limits(limits)
///     .build(RoutePolicy::fail_closed("upload"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BodyLimits {
    /// The largest form or JSON body, in bytes as transferred (before decompression). Default 64
    /// KiB.
    pub max_body_bytes: usize,
    /// The time within which a form or JSON body must arrive. Default 5 s.
    pub body_timeout: Duration,
    /// The largest multipart body, in bytes as transferred (before decompression). Default 2 MiB.
    pub max_upload_bytes: usize,
    /// The time within which a multipart body must arrive. Default 60 s.
    pub upload_timeout: Duration,
    /// The most bytes of large bodies that the guards of a site hold in memory for all requests
    /// together. Default 128 MiB. Beyond it a large body is refused with 503.
    ///
    /// The first 64 KiB of each body do not count, so forms and JSON pass all the same. The clients of
    /// one network get half of it, and an eighth once half is taken, so it should be at least twice
    /// [`max_upload_bytes`](Self::max_upload_bytes).
    pub max_held_bytes: usize,
}

impl BodyLimits {
    /// Sets the largest form or JSON body, in bytes. Default 64 KiB.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets the time within which a form or JSON body must arrive. Default 5 s.
    #[must_use]
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Sets the largest multipart body, in bytes. Default 2 MiB.
    #[must_use]
    pub fn with_max_upload_bytes(mut self, bytes: usize) -> Self {
        self.max_upload_bytes = bytes;
        self
    }

    /// Sets the most bytes of large bodies that are held for all requests together. Default 128 MiB.
    #[must_use]
    pub fn with_max_held_bytes(mut self, bytes: usize) -> Self {
        self.max_held_bytes = bytes;
        self
    }

    /// Sets the time within which a multipart body must arrive. Default 60 s.
    #[must_use]
    pub fn with_upload_timeout(mut self, timeout: Duration) -> Self {
        self.upload_timeout = timeout;
        self
    }
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 65_536,
            body_timeout: Duration::from_secs(5),
            max_upload_bytes: 2 * 1_024 * 1_024,
            upload_timeout: Duration::from_secs(60),
            max_held_bytes: 128 * 1_024 * 1_024,
        }
    }
}
