//! Google's error envelope (recaptcha.md section 3.6).

use human_check::{CheckError, ErrorKind};
use human_check_http::json::Text;
use human_check_http::{Reply, json};
use serde::Deserialize;

use crate::RECAPTCHA_ENTERPRISE;

#[derive(Default, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    error: Option<Status<'a>>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: Option<u16>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    details: Vec<Detail<'a>>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    reason: Text<'a>,
}

/// The error in a reply, by its status or, on a 200 that holds an error, by the status inside.
/// The message is never looked at: it varies, and may hold anything.
pub(crate) fn read(reply: &Reply) -> Option<CheckError> {
    let envelope: Envelope<'_> = json::object(reply.body()).unwrap_or_default();
    let error = envelope.error;
    let status = match (reply.status(), &error) {
        (200, None) => return None,
        (200, Some(error)) => error.code.unwrap_or(400),
        (status, _) => status,
    };
    let error = error.unwrap_or_default();
    let cause = error.details.iter().find_map(|detail| detail.reason.get());
    let (kind, reason) = classify(status, cause);
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

fn classify(status: u16, cause: Option<&str>) -> (ErrorKind, &'static str) {
    use ErrorKind::{Declined, Misconfigured, Protocol, Unavailable};
    match (status, cause.unwrap_or("")) {
        (429, "RATE_LIMIT_EXCEEDED") => (Unavailable, "rate-limited"),
        // The monthly quota: no assessment is made.
        (429, _) => (Declined, "quota"),
        (408 | 499 | 504, _) => (Unavailable, "vendor-timeout"),
        (409, _) => (Unavailable, "aborted"),
        (501, _) => (Misconfigured, "endpoint"),
        (500..=599, _) => (Unavailable, "server-error"),
        (401, _) => (Misconfigured, UNAUTHENTICATED),
        (_, "API_KEY_INVALID") => (Misconfigured, "api-key"),
        (_, "SERVICE_DISABLED") => (Misconfigured, "api-disabled"),
        (_, "BILLING_DISABLED") => (Misconfigured, "billing-disabled"),
        (_, cause) if cause.starts_with("API_KEY_") => (Misconfigured, "api-key-restricted"),
        (403, _) => (Misconfigured, "permission-denied"),
        (404, _) => (Misconfigured, "not-found"),
        (400..=499, _) => (Misconfigured, "request"),
        (300..=399, _) => (Protocol, "redirect"),
        _ => (Protocol, "unexpected-status"),
    }
}

/// The credential was not taken, which happens before the visitor's token is looked at.
pub(crate) const UNAUTHENTICATED: &str = "credentials";
