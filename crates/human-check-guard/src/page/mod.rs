//! What a page needs to show a widget.

mod csp_policy;
mod csp_sources;
mod nonce;
mod widget_renderer;

pub use csp_sources::CspSources;
pub use widget_renderer::{Html, WidgetRenderer};
