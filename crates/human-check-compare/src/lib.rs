#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod estimate;
#[cfg(feature = "statistics")]
mod input;
mod interval;
mod lines;
#[cfg(feature = "statistics")]
mod prices;
#[cfg(feature = "statistics")]
mod proportion;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "statistics")]
mod shadow;
mod sink;

#[cfg(feature = "statistics")]
pub use input::{Input, InputWatch};
pub use interval::ConfidenceInterval;
pub use lines::{
    Arm, ExperimentHeader, Header, Line, Lost, Record, RecordError, RecordReader, validate_id,
};
#[cfg(feature = "statistics")]
pub use prices::{MonthlyCost, Prices};
#[cfg(feature = "statistics")]
pub use proportion::Proportion;
#[cfg(feature = "statistics")]
pub use shadow::{
    Agreement, ContingencyTable, Day, Kappa, Latency, PairedDifference, ProviderDay,
    ProviderStatistics, ScoreHistogram, Statistics, Tally, Warning,
};
pub use sink::{JsonLinesOptions, JsonLinesSink, Retention};
