//! The transport of this program, which its features select.

use human_check_core::ConfigError;
use human_check_http::ProviderClient;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use human_check_http::{Proxy, TransportOptions};

use crate::context::Context;
use crate::model::{Model, ProxyRef};
use crate::source::KeyPath;

/// Whether the program was built with TLS, which calls to providers need.
pub(crate) const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

/// Creates the client that all accounts of a deployment share.
pub(crate) fn client(context: &Context<'_>, model: &Model) -> Result<ProviderClient, ConfigError> {
    let path = KeyPath::from("check.proxy");
    let proxy = match &model.check.proxy {
        None => None,
        Some(ProxyRef::Url(url)) if url.contains('@') => {
            return Err(context.wrong(
                &path,
                "holds a user name or a password",
                r#"put the URL into a variable or a file, and write { env = "NAME" } or { file = "/path" }"#,
            ));
        }
        Some(ProxyRef::Url(url)) => Some(url.clone()),
        Some(ProxyRef::Place(place)) => Some(context.secret_text(&path, place)?.trim().to_owned()),
    };
    build(proxy.as_deref()).map_err(|error| match error.field() {
        "proxy" => context.placed(&path, error),
        _ => error,
    })
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn build(proxy: Option<&str>) -> Result<ProviderClient, ConfigError> {
    #[cfg(feature = "rustls")]
    use human_check_http::HyperTransport as Transport;
    #[cfg(all(feature = "native-tls", not(feature = "rustls")))]
    use human_check_http::ReqwestTransport as Transport;

    let mut options = TransportOptions::new();
    if let Some(url) = proxy {
        options = options.with_proxy(Proxy::parse(url)?);
    }
    Ok(ProviderClient::new(Transport::with_options(options)?))
}

/// Creates a client that sends nothing, for programs with altcha alone. An account of any other
/// kind is an error when it is composed, see [`HAS_TLS`].
#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn build(_: Option<&str>) -> Result<ProviderClient, ConfigError> {
    use human_check_http::{MockTransport, SendError, SendErrorKind};

    Ok(ProviderClient::new(MockTransport::new(|_| {
        Err(SendError::new(SendErrorKind::NotSent))
    })))
}
