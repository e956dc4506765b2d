#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod lines;
mod record;
mod record_error;

pub use lines::Lines;
pub use record::{Record, check_id};
pub use record_error::RecordError;
