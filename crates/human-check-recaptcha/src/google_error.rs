//! Google's error object in replies of reCAPTCHA Enterprise. See
//! docs/providers/recaptcha.md#error-codes.

use human_check_core::{CheckError, ErrorKind};
use human_check_http::Reply;
use human_check_http::adapter::json;
use human_check_http::adapter::json::{Number, Object, Objects, Text};
use human_check_http::adapter::siteverify::is_quota;
use serde::Deserialize;

use crate::RECAPTCHA_ENTERPRISE;

#[derive(Default, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    error: Object<Status<'a>>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: Number,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    details: Objects<ErrorDetail<'a>>,
}

#[derive(Deserialize)]
struct ErrorDetail<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
}

/// Returns the error of a reply, or `None` when the reply is a success.
///
/// The HTTP status decides. For a 200 with an error object, the status inside the object decides.
/// The error's message is not read, because its text varies.
pub(crate) fn read(reply: &Reply) -> Option<CheckError> {
    // A body in an encoding, and a status that is neither a success nor an error, are not read.
    if let Err(error) = reply.check_status(&RECAPTCHA_ENTERPRISE)
        && error.kind() == ErrorKind::Protocol
    {
        return Some(error);
    }
    let envelope: Envelope<'_> = json::object(reply.body()).unwrap_or_default();
    let error = match (reply.status(), envelope.error) {
        (200, Object::Absent) => return None,
        (_, error) => error.or_absent().unwrap_or_default(),
    };
    let cause = error
        .details
        .0
        .iter()
        .find_map(|detail| detail.reason.get());
    let (kind, reason) = match reply.status() {
        200 => classify_inner(error.code.get(), cause),
        401 => (ErrorKind::Misconfigured, UNAUTHENTICATED),
        status => classify(status, cause),
    };
    let mut codes = json::Codes::default();
    for code in [error.status.get(), cause].into_iter().flatten() {
        codes.push(code);
    }
    Some(
        CheckError::new(kind, &RECAPTCHA_ENTERPRISE, reason)
            .with_codes(codes.into_vec())
            .with_retry_after(reply.retry_after()),
    )
}

/// Classifies an error object in a reply with status 200. Such a reply never holds a verdict.
fn classify_inner(code: Option<f64>, cause: Option<&str>) -> (ErrorKind, &'static str) {
    let codes = 400..600_u16;
    match codes
        .into_iter()
        .find(|status| code == Some(f64::from(*status)))
    {
        Some(status) => classify(status, cause),
        None => (ErrorKind::Protocol, "error-in-success"),
    }
}

/// Classifies an error by the HTTP status and the `reason` of its details.
fn classify(status: u16, cause: Option<&str>) -> (ErrorKind, &'static str) {
    use ErrorKind::{Declined, Misconfigured, Protocol, RateLimited, Unavailable};
    match (status, cause.unwrap_or("")) {
        (429, "RATE_LIMIT_EXCEEDED") => (RateLimited, "rate-limited"),
        // The monthly quota is exhausted, and Google made no assessment.
        (429, _) => (Declined, "quota"),
        (408 | 499 | 504, _) => (Unavailable, "provider-timeout"),
        (421 | 425, _) => (Unavailable, "retry-requested"),
        (409, _) => (Unavailable, "aborted"),
        (501, _) => (Misconfigured, "endpoint"),
        (500..=599, _) => (Unavailable, "server-error"),
        (401, _) => (Misconfigured, "permission-denied"),
        (_, cause) if is_quota(cause) => (Declined, "quota"),
        (_, "API_KEY_INVALID") => (Misconfigured, "api-key"),
        (_, "SERVICE_DISABLED") => (Misconfigured, "api-disabled"),
        (_, "BILLING_DISABLED") => (Misconfigured, "billing-disabled"),
        (_, cause) if cause.starts_with("API_KEY_") => (Misconfigured, "api-key-restricted"),
        (403, _) => (Misconfigured, "permission-denied"),
        (404, _) => (Misconfigured, "not-found"),
        (400..=499, _) => (Misconfigured, "request"),
        _ => (Protocol, "unexpected-status"),
    }
}

/// The reason for HTTP 401: Google rejected the credential before it used the visitor's token
/// (inferred).
pub(crate) const UNAUTHENTICATED: &str = "credentials";

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn outcome(reply: &Reply) -> String {
        let error = read(reply);
        error.map_or_else(String::new, |e| format!("{} {}", e.kind(), e.reason()))
    }

    #[test]
    fn a_request_to_try_again_is_an_outage_and_an_exhausted_quota_is_declined() {
        for status in [421, 425] {
            let reply = Reply::new(status, "{}");
            assert_eq!(outcome(&reply), "unavailable retry-requested", "{status}");
        }
        for (reason, expected) in [
            ("quotaExceeded", "declined quota"),
            ("tokenquota", "misconfigured permission-denied"),
        ] {
            let body = format!(r#"{{"error":{{"code":403,"details":[{{"reason":"{reason}"}}]}}}}"#);
            assert_eq!(outcome(&Reply::new(403, body)), expected, "{reason}");
        }
    }

    #[test]
    fn a_reply_in_an_encoding_is_not_read() {
        for status in [200, 401, 403] {
            let reply = Reply::new(status, r#"{"tokenProperties":{"valid":true}}"#);
            let gzip = HeaderValue::from_static("gzip");
            let reply = reply.with_header(header::CONTENT_ENCODING, gzip);
            assert_eq!(outcome(&reply), "protocol encoded-reply", "{status}");
            let sign_in = crate::read_access_token(&reply).unwrap_err();
            assert_eq!(sign_in.kind(), ErrorKind::Protocol, "{status}");
        }
    }
}
