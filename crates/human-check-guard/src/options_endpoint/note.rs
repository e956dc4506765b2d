use std::time::Duration;

/// A step of the funnel that a page reports.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) event: String,
    pub(super) after: Duration,
}
