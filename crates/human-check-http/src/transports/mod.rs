//! Transports, which send a request to a provider and return its reply.

#[cfg(any(feature = "reqwest", feature = "rustls"))]
mod connections;
#[cfg(feature = "rustls")]
mod hyper_transport;
mod mock_transport;
#[cfg(feature = "reqwest")]
mod reqwest_transport;
#[cfg(feature = "rustls")]
mod tls;
mod transport;

#[cfg(feature = "rustls")]
pub use hyper_transport::HyperTransport;
pub use mock_transport::MockTransport;
#[cfg(feature = "reqwest")]
pub use reqwest_transport::ReqwestTransport;
pub use transport::{SendError, SendErrorKind, Transport};
