//! Checks and headers for every request of the demo: names, origins, content security policy.

use std::fmt;
use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use human_check_guard::CspSources;
use uuid::Uuid;

/// The content security policy of a page without widgets.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";

/// A random value that the policy and the script elements of one response share. The browser runs
/// no other inline script.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(String);

impl Nonce {
    /// Creates a nonce of 122 random bits. Hexadecimal digits are valid base64, which a nonce must
    /// be.
    fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses requests from other sites, and adds a policy to every response.
pub(crate) async fn protect(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::random();
    let refusal = refusal(&request);
    let mut response = match refusal {
        Some(refusal) => refusal.into_response(),
        None => {
            request.extensions_mut().insert(nonce.clone());
            next.run(request).await
        }
    };
    let sources = response.extensions_mut().remove::<CspSources>();
    let policy = policy(sources.unwrap_or_default(), &nonce);
    let headers = response.headers_mut();
    // A file of ALTCHA's widget has a policy of its own.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The frames of widgets need the origin of the page, and no more.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// Returns the policy of a page with these widgets.
///
/// The emulated widgets need no inline styles, so the demo never allows them.
fn policy(sources: CspSources, nonce: &Nonce) -> HeaderValue {
    sources
        .with_nonce(nonce.as_str())
        .ok()
        .map(|sources| sources.merge_into(POLICY).replace(" 'unsafe-inline'", ""))
        .and_then(|policy| HeaderValue::try_from(policy).ok())
        .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns the refusal of a request that is not from this machine's browser and the demo's own
/// pages.
///
/// The demo gives out tokens and starts outages. A page of another site could make a browser send
/// such a request, with a form or through a host name that resolves to this machine.
fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    let header = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    let authority = header(&HOST)
        .and_then(|host| host.parse::<Authority>().ok())
        .or_else(|| request.uri().authority().cloned());
    if !authority.is_some_and(|authority| is_loopback(authority.host())) {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "The demo responds to the names of this machine only, such as localhost.\n",
        ));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_other_site = |site| !matches!(site, "same-origin" | "none");
    let is_other_origin = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_none() || authority != header(&HOST)
    };
    // Older browsers send only one of the two headers.
    if !reads
        && (header(&SEC_FETCH_SITE).is_some_and(is_other_site)
            || header(&ORIGIN).is_some_and(is_other_origin))
    {
        return Some((
            StatusCode::FORBIDDEN,
            "The demo accepts forms from its own pages only.\n",
        ));
    }
    None
}

/// Returns whether a host is `localhost` or a loopback address.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "10.0.0.1",
            "[::2]",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
