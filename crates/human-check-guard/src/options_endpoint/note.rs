use std::time::Duration;

/// A step of the funnel that a page reports.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) event: String,
    pub(super) after: Duration,
    /// Whether a page that may report sends it.
    pub(super) is_of_page: bool,
}
