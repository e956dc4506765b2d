#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "statistics")]
mod day;
pub mod estimate;
#[cfg(feature = "statistics")]
mod experiment;
mod guardrail;
#[cfg(feature = "statistics")]
mod input;
mod interval;
#[cfg(feature = "statistics")]
mod latency;
mod lines;
#[cfg(feature = "statistics")]
mod prices;
#[cfg(feature = "statistics")]
mod proportion;
#[cfg(feature = "statistics")]
mod reason;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "statistics")]
mod shadow;
mod sink;
mod stop_note;

#[cfg(feature = "statistics")]
pub use experiment::{
    ArmComparison, ArmStatistics, Conclusion, DayDifference, ExperimentStatistics, ExperimentTally,
    ExperimentWarning, LabelDifference, Segment, SegmentArm, SplitCheck, StepDifference,
};
pub use guardrail::{Breach, Guardrail};
#[cfg(feature = "statistics")]
pub use input::{Input, InputWatch};
pub use interval::ConfidenceInterval;
#[cfg(feature = "statistics")]
pub use latency::{Latency, Quantile};
pub use lines::{
    Arm, ExperimentHeader, Header, Line, Lost, Record, RecordError, RecordReader, validate_id,
};
#[cfg(feature = "statistics")]
pub use prices::{MonthlyCost, Prices};
#[cfg(feature = "statistics")]
pub use proportion::Proportion;
#[cfg(feature = "statistics")]
pub use shadow::{
    Agreement, ContingencyTable, Day, Kappa, PairedDifference, ProviderDay, ProviderStatistics,
    ScoreHistogram, Statistics, Tally, Warning,
};
pub use sink::{JsonLinesOptions, JsonLinesSink, Retention};
pub use stop_note::StopNote;
