#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod json_lines;
mod lines;
mod record;
mod record_error;
mod rotating_file;

pub use json_lines::{JsonLines, Keep};
pub use lines::Lines;
pub use record::{Record, check_id};
pub use record_error::RecordError;
