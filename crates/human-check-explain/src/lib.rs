#![doc = include_str!("../README.md")]

mod case;
mod explain;
mod explanation;
mod rules;

pub use case::Case;
pub use explain::explain;
pub use explanation::Explanation;
pub use rules::{ClassicKey, KeyName, Rules};
