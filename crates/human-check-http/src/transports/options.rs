use super::proxy::Proxy;

/// The settings of `HyperTransport` and `ReqwestTransport`.
///
/// ```
/// use human_check_http::{Proxy, TransportOptions};
///
/// let options = TransportOptions::new().with_proxy(Proxy::parse("http://proxy.internal:3128")?);
/// # let _ = options;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) proxy: Option<Proxy>,
}

impl TransportOptions {
    /// Creates the default settings: the root certificates of the operating system, and no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds root certificates in DER form to those of the operating system. Default none.
    ///
    /// For networks whose proxy inspects TLS, and for self-hosted servers with a certificate
    /// authority of their own.
    #[must_use]
    pub fn with_roots(mut self, roots: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.roots.extend(roots);
        self
    }

    /// Sets the proxy that connections to providers use. Default none: a transport never reads one
    /// from the environment.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }
}
