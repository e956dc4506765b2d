//! The configuration of rustls.

use std::sync::{Arc, OnceLock};

use human_check_core::ConfigError;
use rustls_platform_verifier::Verifier;

/// Returns a configuration that trusts the roots of the operating system, and `roots` (DER) as
/// well.
pub(crate) fn client_config(roots: Vec<Vec<u8>>) -> Result<rustls::ClientConfig, ConfigError> {
    // Reading the system's certificates takes longer than a handshake, so they are read once.
    static SYSTEM: OnceLock<Arc<Verifier>> = OnceLock::new();

    // The provider of cryptography is set explicitly. A process-wide default would be ambiguous in
    // a program that enables another one, too.
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let bad = |_: rustls::Error| {
        ConfigError::new(
            "roots",
            "cannot be loaded",
            "install the system's CA certificates (package ca-certificates), and pass additional roots as DER",
        )
    };
    let verifier = match SYSTEM.get() {
        Some(verifier) if roots.is_empty() => Arc::clone(verifier),
        _ if roots.is_empty() => {
            let loaded = Arc::new(Verifier::new(Arc::clone(&crypto)).map_err(bad)?);
            Arc::clone(SYSTEM.get_or_init(|| loaded))
        }
        _ => {
            let roots = roots.into_iter().map(Into::into);
            Arc::new(Verifier::new_with_extra_roots(roots, Arc::clone(&crypto)).map_err(bad)?)
        }
    };
    Ok(rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(bad)?
        .dangerous() // rustls requires it to set a verifier; this one verifies as the system does
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}
