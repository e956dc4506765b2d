use std::time::SystemTime;

/// The first and the last time of a set of records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TimeRange {
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
}

impl TimeRange {
    /// Returns the range that also holds `at`.
    pub(crate) fn with(range: Option<Self>, at: SystemTime) -> Self {
        range.map_or(
            Self {
                from: at,
                until: at,
            },
            |range| Self {
                from: range.from.min(at),
                until: range.until.max(at),
            },
        )
    }
}
