use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use human_check_core::ConfigError;
use url::{Host, Url};

/// A URL that a secret may be sent to.
///
/// It is `https`, or `http` to a loopback address. A user name, a password, a query or a fragment
/// is an error: secrets and tokens are sent in bodies and headers, so that logs of URLs do not
/// contain them. [`link_local`](Self::link_local) is the one exception for other addresses. Clones
/// are cheap.
///
/// ```
/// use human_check_http::Endpoint;
///
/// assert!(Endpoint::parse("https://challenges.cloudflare.com/turnstile/v0/siteverify").is_ok());
/// assert!(Endpoint::parse("http://127.0.0.1:8080/siteverify").is_ok());
/// assert!(Endpoint::parse("http://captcha.internal/siteverify").is_err());
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Endpoint(Arc<Target>);

/// The URL in the types of both HTTP libraries, parsed once.
#[derive(Eq, PartialEq)]
struct Target {
    url: Url,
    uri: Uri,
    /// What a request line of HTTP/1.1 has.
    path: Uri,
    /// Host and port, as the header `Host` has them.
    authority: HeaderValue,
}

impl Endpoint {
    /// Parses an absolute URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `text` is not an absolute URL, is `http` to another machine, or has a
    /// user name, a password, a query or a fragment. The error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // The error does not repeat the text, because it may contain a password.
        let bad = |problem, remedy| ConfigError::new("endpoint", problem, remedy);
        let url = Url::parse(text).map_err(|_| {
            bad(
                "is not an absolute URL",
                "write a complete URL, such as `https://api.hcaptcha.com/siteverify`",
            )
        })?;
        let loopback = match url.host() {
            // Other names below `localhost` may be resolved by a name server of the network.
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => {
                return Err(bad(
                    "has no host",
                    "write a complete URL, with `https://` and the host",
                ));
            }
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
            return Err(bad(
                "is not https",
                "write `https://`; `http://` is allowed for loopback only (127.0.0.1, [::1], localhost)",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "contains a user name or password",
                "leave them out; secrets are set separately",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(
                "contains a query or fragment",
                "leave out `?` or `#` and all that follows",
            ));
        }
        Self::of(url).ok_or_else(|| {
            bad(
                "cannot be sent in an HTTP request",
                "write the URL without spaces and quotes",
            )
        })
    }

    /// Creates an endpoint from a URL that was checked. `None` if it cannot be sent in a request.
    fn of(url: Url) -> Option<Self> {
        let uri: Uri = url.as_str().parse().ok()?;
        let path = uri.path_and_query()?.clone().into();
        let authority = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        Some(Self(Arc::new(Target {
            url,
            uri,
            path,
            authority,
        })))
    }

    /// Parses the URL of a service on the local link, such as the metadata server of a cloud.
    ///
    /// It is `http` to an IPv4 link-local address (169.254.0.0/16), which no router forwards. A
    /// name is not accepted, because a resolver could return another address.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `text` is any other URL.
    ///
    /// ```
    /// use human_check_http::Endpoint;
    ///
    /// assert!(Endpoint::link_local("http://169.254.169.254/").is_ok());
    /// assert!(Endpoint::link_local("http://metadata.google.internal/").is_err());
    /// ```
    pub fn link_local(text: &str) -> Result<Self, ConfigError> {
        Url::parse(text)
            .ok()
            .filter(|url| {
                url.scheme() == "http" && url.query().is_none() && url.username().is_empty()
            })
            .filter(|url| matches!(url.host(), Some(Host::Ipv4(ip)) if ip.is_link_local()))
            .and_then(Self::of)
            .ok_or_else(|| {
                ConfigError::new(
                    "endpoint",
                    "is not a link-local address",
                    "write `http://169.254.…`, the address of the metadata server instead of its name",
                )
            })
    }

    /// Parses a constant of an adapter.
    ///
    /// # Panics
    ///
    /// If `text` is not an endpoint that [`parse`](Self::parse) accepts. Use it for literals that a
    /// test covers.
    pub fn literal(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(endpoint) => endpoint,
            Err(error) => panic!("{text}: {error}"),
        }
    }

    /// Returns an endpoint with the same scheme, host and port, and another path.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Self {
        let mut url = self.0.url.clone();
        url.set_path(path);
        // `set_path` has encoded the path, so it can be sent in a request line.
        Self::of(url).unwrap_or_else(|| self.clone())
    }

    /// Returns whether both are clones of one endpoint.
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns whether `other` has the same scheme, host and port.
    #[cfg(feature = "rustls")]
    pub(crate) fn has_host_of(&self, other: &Self) -> bool {
        self.0.authority == other.0.authority && self.0.uri.scheme() == other.0.uri.scheme()
    }

    /// Returns the path, as a request line of HTTP/1.1 has it.
    #[cfg(feature = "rustls")]
    pub(crate) fn path(&self) -> &Uri {
        &self.0.path
    }

    /// Returns host and port, as the header `Host` has them.
    #[cfg(feature = "rustls")]
    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.0.authority
    }

    /// Returns an endpoint with the scheme, host and port of `base`, and this path behind the path
    /// of `base`.
    pub(crate) fn rebased(&self, base: &Self) -> Self {
        let prefix = base.0.url.path().trim_end_matches('/');
        base.at_path(&format!("{prefix}{}", self.0.url.path()))
    }

    /// Returns the URL in the type of the crate `url`.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// Returns whether the host is beyond this machine and its link, so that a proxy may serve it and a call
    /// crosses a network.
    pub fn is_remote(&self) -> bool {
        is_remote(&self.0.url)
    }

    /// Returns the URL in the type of the crate `http`.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }
}

/// Returns whether the host of a URL is beyond this machine and its link.
pub(crate) fn is_remote(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name != "localhost",
        Some(Host::Ipv4(ip)) => !(ip.is_loopback() || ip.is_link_local()),
        Some(Host::Ipv6(ip)) => !ip.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.0.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_only_to_loopback() {
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:1/x",
            "http://127.9.9.9/x",
            "http://[::1]:1/x",
            "http://localhost:1/x",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/x",
            "http://10.0.0.1/x",
            "http://localhost.example/x",
            "http://foo.localhost/x",
            "http://localhost./x",
            "http://127.0.0.1.example/x",
            "ftp://127.0.0.1/x",
            "file:///x",
            "/x",
            "",
            "https://user:pass@a.example/",
            "https://a.example/?secret=x",
            "https://a.example/#x",
        ] {
            let error = Endpoint::parse(bad).unwrap_err();
            assert_eq!(error.field(), "endpoint", "{bad}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }
}
