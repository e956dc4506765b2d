//! What holds for every response of the demo, whichever page it is.

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

/// What a page may do before its widgets ask for more.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";

/// Drawn for each response, so that only scripts of this very response may run.
#[derive(Clone, Debug)]
pub(crate) struct Nonce(String);

impl Nonce {
    /// 122 random bits; their hexadecimal digits are base64, too.
    fn draw() -> Self {
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

/// Turns away whoever does not mean this machine, and puts a policy on every response.
pub(crate) async fn protect(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::draw();
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
    // What is no page may come with one of its own.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The frames of widgets may know from which origin they are shown, and no more.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

/// The demo's widgets are stand-ins that need no inline styles, so no provider's wish for them is granted.
fn policy(sources: CspSources, nonce: &Nonce) -> HeaderValue {
    sources
        .with_nonce(nonce.as_str())
        .ok()
        .map(|sources| sources.merge_into(POLICY).replace(" 'unsafe-inline'", ""))
        .and_then(|policy| HeaderValue::try_from(policy).ok())
        .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The demo hands out tokens and breaks providers for whoever asks. A page elsewhere may make a browser
/// ask: by a name of its own that leads here, or by a form.
fn refusal(request: &Request) -> Option<(StatusCode, &'static str)> {
    let header = |name: &HeaderName| request.headers().get(name)?.to_str().ok();
    let authority = header(&HOST)
        .and_then(|host| host.parse::<Authority>().ok())
        .or_else(|| request.uri().authority().cloned());
    if !authority.is_some_and(|authority| is_loopback(authority.host())) {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "The demo answers to names of this machine only, such as localhost.\n",
        ));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let elsewhere = |site| !matches!(site, "same-origin" | "none");
    let foreign = |origin: &str| {
        let of = origin.split_once("://").map(|(_, authority)| authority);
        of.is_none() || of != header(&HOST)
    };
    // Older browsers say the one and not the other.
    if !reads
        && (header(&SEC_FETCH_SITE).is_some_and(elsewhere) || header(&ORIGIN).is_some_and(foreign))
    {
        return Some((
            StatusCode::FORBIDDEN,
            "The demo takes forms from its own pages only.\n",
        ));
    }
    None
}

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
