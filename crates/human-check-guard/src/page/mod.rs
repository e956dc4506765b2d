//! The markup of widgets, and the content security policy that they need.

mod csp_policy;
mod csp_sources;
mod nonce;
mod script_file;
mod text;
mod texts;
mod widget_renderer;

pub use csp_sources::CspSources;
pub use script_file::page_script_file_name;
pub(crate) use script_file::{DIGEST, FILES};
pub use text::Text;
pub(crate) use texts::LanguageIndex;
pub use texts::Texts;
pub use widget_renderer::{Html, WidgetRenderer};
pub(crate) use widget_renderer::{attribute, escape};
