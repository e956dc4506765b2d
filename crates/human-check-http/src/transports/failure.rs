//! Tells why a connection could not be opened, from the chain of errors of an HTTP library.

use std::error::Error;

use crate::SendErrorKind;

/// The end of hyper's error about a proxy that replied with 407. Its type is not public.
const PROXY_REQUIRES_CREDENTIALS: &str = "proxy authorization required";

/// Returns the kind of an error that occurred before the request was sent.
pub(super) fn of_connecting(error: &(dyn Error + 'static)) -> SendErrorKind {
    let mut next = Some(error);
    while let Some(error) = next {
        if is_about_the_certificate(error) {
            return SendErrorKind::CertificateRejected;
        }
        if error.to_string().ends_with(PROXY_REQUIRES_CREDENTIALS) {
            return SendErrorKind::ProxyRefused;
        }
        // `std::io::Error` hides an error that it wraps.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    SendErrorKind::NotSent
}

/// Returns the texts of an error and of its causes, as a line.
#[cfg(feature = "rustls")]
pub(super) fn text_of(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors repeat their cause.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(feature = "rustls")]
fn is_about_the_certificate(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_))
    )
}

/// The operating systems' TLS libraries share no type of error, so its text decides.
#[cfg(not(feature = "rustls"))]
fn is_about_the_certificate(error: &(dyn Error + 'static)) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    text.contains("certificate") || text.contains("trust")
}
