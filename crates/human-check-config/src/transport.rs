//! The transport that this program was built with.

use human_check_core::ConfigError;
use human_check_http::ProviderClient;

/// Whether a provider can be reached over TLS.
pub(crate) const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

#[cfg(feature = "rustls")]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    Ok(ProviderClient::new(human_check_http::HyperTransport::new()?))
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    Ok(ProviderClient::new(
        human_check_http::ReqwestTransport::new()?,
    ))
}

/// For programs that configure ALTCHA alone: a provider that needs a network is an error when it is
/// composed, see [`HAS_TLS`], so nothing is ever sent through this.
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
pub(crate) fn client() -> Result<ProviderClient, ConfigError> {
    use human_check_http::{MockTransport, SendError, SendErrorKind};

    Ok(ProviderClient::new(MockTransport::new(|_| {
        Err(SendError::new(SendErrorKind::NotSent))
    })))
}
