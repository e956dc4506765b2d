#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod agreement;
pub mod estimate;
mod histogram;
mod interval;
mod json_lines;
mod latency;
mod prices;
mod provider_statistics;
mod record;
mod record_error;
mod record_reader;
#[cfg(feature = "report")]
pub mod report;
mod rotating_file;
mod statistics;
mod tally;
mod time_range;
mod warning;

pub use agreement::{Agreement, ContingencyTable, Kappa, PairedDifference};
pub use histogram::ScoreHistogram;
pub use interval::{ConfidenceInterval, Proportion};
pub use json_lines::{JsonLinesSink, Retention};
pub use latency::Latency;
pub use prices::{MonthlyCost, Prices};
pub use provider_statistics::ProviderStatistics;
pub use record::{Record, validate_id};
pub use record_error::RecordError;
pub use record_reader::RecordReader;
pub use statistics::Statistics;
pub use tally::Tally;
pub use warning::Warning;
