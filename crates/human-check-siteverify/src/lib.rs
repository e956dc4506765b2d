#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod check;
mod dialect;
mod presets;
#[cfg(test)]
mod tests;

pub use check::SiteVerify;
pub use dialect::{Dialect, ScoreScale};
