#![doc = include_str!("../README.md")]

mod check;
mod dialect;
mod presets;
#[cfg(test)]
mod tests;

pub use check::SiteVerify;
pub use dialect::{Dialect, ScoreScale};
