use serde::Serialize;

use crate::{Agreement, ProviderStatistics, Warning};

/// What records say about the providers in them.
///
/// What the numbers do not carry is in [`warnings`](Self::warnings); read these first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// What limits the rest.
    pub warnings: Vec<Warning>,
    /// How many records.
    pub records: u64,
    /// When the first was made, RFC 3339.
    pub from: Option<String>,
    /// When the last was made.
    pub until: Option<String>,
    /// One for each provider, in the order of first mention.
    pub providers: Vec<ProviderStatistics>,
    /// One for each two of them.
    pub pairs: Vec<Agreement>,
}
