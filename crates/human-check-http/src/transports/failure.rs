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
        if error.downcast_ref().is_some_and(is_local) {
            return SendErrorKind::LocalTrouble;
        }
        // `std::io::Error` hides an error that it wraps.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    SendErrorKind::NotSent
}

/// Returns whether this machine is the cause: it has no descriptor or memory left.
///
/// `AddrNotAvailable` says too little: a machine without ports has it, and so has every address of
/// IPv6 where IPv6 is switched off, whatever the error of the provider's other address was.
fn is_local(error: &std::io::Error) -> bool {
    // Linux and other Unix systems number these errors alike, except ENOBUFS.
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    let exhausted = [ENOMEM, ENFILE, EMFILE, ENOBUFS];
    let code = error.raw_os_error();
    cfg!(unix) && code.is_some_and(|code| exhausted.contains(&code))
        || error.kind() == std::io::ErrorKind::OutOfMemory
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Error;

    use super::*;

    #[test]
    fn a_machine_without_descriptors_says_nothing_about_the_provider() {
        for code in [12, 23, 24, 105] {
            let error = Error::other(Error::from_raw_os_error(code));
            assert_eq!(of_connecting(&error), SendErrorKind::LocalTrouble, "{code}");
        }
        // Refused, unreachable, timed out, and IPv6 where it is switched off.
        for code in [111, 113, 110, 99] {
            let error = Error::other(Error::from_raw_os_error(code));
            assert_eq!(of_connecting(&error), SendErrorKind::NotSent, "{code}");
        }
    }
}
