//! The markup of widgets, and the content security policy that they need.

mod csp_policy;
mod csp_sources;
mod nonce;
mod widget_renderer;

pub use csp_sources::CspSources;
pub(crate) use widget_renderer::escape;
pub use widget_renderer::{Html, WidgetRenderer};
