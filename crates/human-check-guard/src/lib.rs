//! What every web guard of `human-check` does, minus the framework.

mod csp;
mod widget;

pub use csp::CspSources;
pub use widget::{Html, Page};
