#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod captchala_check;
mod provider;
mod server_token;
mod token_kind;
mod validate;
mod widget;

pub use captchala_check::{CaptchaLa, MAX_TOKEN_BYTES};
pub use provider::CAPTCHALA;
pub use server_token::{ServerToken, ServerTokenRequest};
pub use widget::widget;
