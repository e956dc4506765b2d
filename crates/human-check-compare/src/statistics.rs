use serde::Serialize;

use crate::{Agreement, ProviderStatistics, Warning};

/// The statistics of a set of records: outcomes, scores and latencies of each provider, and the
/// agreement of each two.
///
/// Read [`warnings`](Self::warnings) first. They say what the numbers do not support. A [`Tally`]
/// counts records that are read one by one. docs/how-to/comparing-providers.md explains each
/// number.
///
/// [`Tally`]: crate::Tally
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistics {
    /// What limits the meaning of the numbers.
    pub warnings: Vec<Warning>,
    /// How many records there are.
    pub records: u64,
    /// When the first record was made, RFC 3339. `None` without records.
    pub from: Option<String>,
    /// When the last record was made, RFC 3339. `None` without records.
    pub until: Option<String>,
    /// One for each provider, in the order of their first observations. At most 32.
    pub providers: Vec<ProviderStatistics>,
    /// One for each two providers.
    pub pairs: Vec<Agreement>,
}
