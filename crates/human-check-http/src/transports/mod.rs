//! Transports, which send a request to a provider and return its reply.

#[cfg(feature = "rustls")]
mod connector;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod failure;
#[cfg(feature = "rustls")]
mod hyper_transport;
#[cfg(feature = "rustls")]
mod lanes;
mod mock_transport;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod options;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod proxy;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod reply_body;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod resolver;
#[cfg(feature = "rustls")]
mod tls;
mod transport;

#[cfg(feature = "rustls")]
pub use hyper_transport::HyperTransport;
pub use mock_transport::MockTransport;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
pub use options::TransportOptions;
#[cfg(any(feature = "reqwest", feature = "rustls"))]
pub use proxy::Proxy;
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use transport::{SendError, SendErrorKind, Transport};
