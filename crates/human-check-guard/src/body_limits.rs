use std::time::Duration;

/// How much of a body a guard reads, and for how long.
///
/// Frameworks have limits of their own; the smaller one holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct BodyLimits {
    /// The largest form or JSON body, in bytes as they travel. Default 64 KiB.
    pub max_body_bytes: usize,
    /// How long such a body may take. Default 5 s.
    pub body_timeout: Duration,
    /// The largest multipart body. Default 2 MiB.
    pub max_upload_bytes: usize,
    /// How long a multipart body may take. Default 60 s.
    pub upload_timeout: Duration,
}

impl BodyLimits {
    /// Sets the largest form or JSON body, in bytes.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Sets how long such a body may take.
    #[must_use]
    pub fn with_body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Sets the largest multipart body, in bytes.
    #[must_use]
    pub fn with_max_upload_bytes(mut self, bytes: usize) -> Self {
        self.max_upload_bytes = bytes;
        self
    }

    /// Sets how long a multipart body may take.
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
        }
    }
}
