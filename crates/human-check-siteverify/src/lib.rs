#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod check;
mod dialect;
mod presets;
#[cfg(test)]
mod tests;
mod widget;

pub use check::SiteVerify;
pub use dialect::{Dialect, ScoreScale};
pub use presets::{CAP, CAPTCHAFOX, FRIENDLY_CAPTCHA, MCAPTCHA};
pub use widget::{widget_cap, widget_captchafox, widget_friendly_captcha, widget_mcaptcha};
