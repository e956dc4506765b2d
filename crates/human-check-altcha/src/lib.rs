#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod altcha_check;
mod altcha_token;
mod derivations;
mod difficulty;
mod issue;
mod keys;
mod payload;
mod widget;
mod widget_files;

pub use altcha_check::{ALTCHA, Altcha, CLOCK_TOLERANCE};
pub use altcha_token::inspect;
pub use difficulty::Difficulty;
pub use keys::Keys;
pub use widget::widget;
pub use widget_files::{WidgetFile, WidgetFiles};
