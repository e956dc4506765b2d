//! The transport of this program, which its features select.

use human_check_core::ConfigError;
use human_check_http::ProviderClient;

/// Whether the program was built with TLS, which calls to providers need.
pub(crate) const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

/// Creates the client that all accounts of a deployment share.
#[cfg(feature = "rustls")]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    Ok(ProviderClient::new(human_check_http::HyperTransport::new()?))
}

/// Creates the client that all accounts of a deployment share.
#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    Ok(ProviderClient::new(
        human_check_http::ReqwestTransport::new()?,
    ))
}

/// Creates a client that sends nothing, for programs with altcha alone. An account of any other
/// kind is an error when it is composed, see [`HAS_TLS`].
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    use human_check_http::{MockTransport, SendError, SendErrorKind};

    Ok(ProviderClient::new(MockTransport::new(|_| {
        Err(SendError::new(SendErrorKind::NotSent))
    })))
}
