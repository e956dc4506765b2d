#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod agreement;
mod histogram;
mod interval;
mod json_lines;
mod latency;
mod lines;
mod prices;
mod record;
mod record_error;
#[cfg(feature = "report")]
pub mod report;
mod rotating_file;
mod statistics;
mod tally;
mod warning;

pub use agreement::{Agreement, Kappa, Table};
pub use histogram::Histogram;
pub use interval::{Interval, Share};
pub use json_lines::{JsonLinesSink, Retention};
pub use latency::Latency;
pub use lines::Lines;
pub use prices::{Cost, Prices};
pub use record::{Record, validate_id};
pub use record_error::RecordError;
pub use statistics::{ProviderStatistics, Statistics};
pub use tally::Tally;
pub use warning::Warning;
