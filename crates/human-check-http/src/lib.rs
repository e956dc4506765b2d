#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod canned;
mod echo;
mod endpoint;
mod exchange;
mod generic;
pub mod json;
mod reply;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
pub mod siteverify;
mod transport;

pub use canned::CannedTransport;
pub use endpoint::Endpoint;
pub use exchange::{Exchange, Limits, Question, Retry};
pub use generic::{Dialect, ScoreScale, SiteVerify};
pub use reply::{Reply, timestamp};
pub use request::{FormBody, Request};
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use transport::{SendError, SendErrorKind, Transport};
