#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod case;
mod explain;
mod explanation;
mod rules;

pub use case::Case;
pub use explain::explain;
pub use explanation::Explanation;
pub use rules::{ClassicKey, KeyName, Rules};
