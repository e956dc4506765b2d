//! The report of an experiment.

mod content;
mod html;
mod terminal;

pub use content::ExperimentReport;
pub use html::experiment_html;
pub use terminal::experiment_terminal;
