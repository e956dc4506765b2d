//! Reports of statistics: tables for a terminal, JSON for a program, and one HTML page.
//!
//! ```
//! use human_check_compare::Statistics;
//! use human_check_compare::report::{Report, html, terminal};
//!
//! let report = Report { statistics: Statistics::of(&[]), costs: Vec::new() };
//! println!("{}", terminal(&report));
//! assert!(html(&report).starts_with("<!DOCTYPE html>"));
//! assert!(report.to_json().starts_with('{'));
//! ```

mod comparison;
mod escaped;
mod experiment;
mod page;
mod plot;
mod tables;

pub use comparison::{Report, html, terminal};
pub use experiment::{ExperimentReport, experiment_html, experiment_terminal};
