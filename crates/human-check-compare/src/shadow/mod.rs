//! The statistics of comparisons: what several providers reported about the same visitors.

mod agreement;
mod days;
mod histogram;
mod provider_statistics;
mod statistics;
mod tally;
mod time_range;
mod warning;

pub use agreement::{Agreement, ContingencyTable, Kappa, PairedDifference};
pub use days::{Day, ProviderDay};
pub use histogram::ScoreHistogram;
pub use provider_statistics::ProviderStatistics;
pub use statistics::Statistics;
pub use tally::Tally;
pub use warning::Warning;
