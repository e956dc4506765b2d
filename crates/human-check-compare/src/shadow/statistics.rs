use serde::Serialize;

use super::{Agreement, Day, ProviderStatistics, Warning};
use crate::Input;

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
    /// What happened on each day, in UTC. At most 400 days.
    pub days: Vec<Day>,
    /// What was read, and what is missing.
    pub input: Input,
}
