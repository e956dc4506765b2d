//! The report of comparisons.

mod content;
mod html;
mod terminal;

pub use content::Report;
pub use html::html;
pub use terminal::terminal;
