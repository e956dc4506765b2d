#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod conformance;
mod manual_clock;
mod proof_of_work;
mod scripted;

pub use manual_clock::ManualClock;
pub use proof_of_work::solve;
pub use scripted::{SCRIPTED, Scripted};
