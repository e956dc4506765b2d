#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod adapter;
mod endpoint;
mod limits;
mod provider_client;
mod redact;
mod reply;
mod request;
mod transports;

pub use endpoint::Endpoint;
pub use limits::Limits;
pub use provider_client::ProviderClient;
pub use reply::Reply;
pub use request::Request;
#[cfg(feature = "rustls")]
pub use transports::HyperTransport;
#[cfg(feature = "reqwest")]
pub use transports::ReqwestTransport;
pub use transports::{MockTransport, SendError, SendErrorKind, Transport};
#[cfg(any(feature = "reqwest", feature = "rustls"))]
pub use transports::{Proxy, TransportOptions};
