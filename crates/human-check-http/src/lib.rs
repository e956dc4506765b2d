#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod canned;
mod echo;
mod endpoint;
mod exchange;
#[cfg(feature = "rustls")]
mod hyper_transport;
pub mod json;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod lanes;
mod reply;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
pub mod siteverify;
#[cfg(feature = "rustls")]
mod tls;
mod transport;

pub use canned::CannedTransport;
pub use endpoint::Endpoint;
pub use exchange::{Asked, Exchange, Limits, Question, Retry};
#[cfg(feature = "rustls")]
pub use hyper_transport::HyperTransport;
pub use reply::{Reply, timestamp};
pub use request::{FormBody, Request};
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use transport::{SendError, SendErrorKind, Transport};
