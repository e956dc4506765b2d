use std::fmt;
use std::sync::Arc;

use http::Uri;
use human_check_core::ConfigError;
use url::{Host, Url};

/// A provider's URL that a secret may be sent to.
///
/// `https`, or plain `http` to this machine only. User info, fragments and queries are refused:
/// secrets and tokens travel in bodies and headers, where no log of URLs finds them.
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

/// The same URL as both kinds of client want it, parsed once.
#[derive(Eq, PartialEq)]
struct Target {
    url: Url,
    uri: Uri,
}

impl Endpoint {
    /// Reads an absolute URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is no URL, not `https` outside this machine, or carries user
    /// info, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // The text is not repeated: a URL with a password in it may have been pasted here.
        let bad = |problem, remedy| ConfigError::new("endpoint", problem, remedy);
        let url = Url::parse(text).map_err(|_| {
            bad(
                "is not an absolute URL",
                "write it whole, like `https://api.hcaptcha.com/siteverify`",
            )
        })?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => return Err(bad("names no host", "write it whole, from `https://` on")),
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
            return Err(bad(
                "is not https",
                "write `https://`; plain `http://` is only for this machine (127.0.0.1, [::1], localhost)",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "holds a user name or password",
                "leave them out; secrets are given apart",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad(
                "holds a query or fragment",
                "leave out everything from `?` or `#` on",
            ));
        }
        Self::of(url).ok_or_else(|| {
            bad(
                "is not a URL that HTTP can carry",
                "write it without spaces and quotes",
            )
        })
    }

    fn of(url: Url) -> Option<Self> {
        let uri = url.as_str().parse().ok()?;
        Some(Self(Arc::new(Target { url, uri })))
    }

    /// A service on this machine's own link, such as a cloud's metadata server: plain `http` to an
    /// IPv4 link-local address (169.254.0.0/16), which no router passes on.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is anything else.
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
                    "is not on the local link",
                    "write `http://169.254.…`, the metadata server's address and not its name",
                )
            })
    }

    /// A constant of an adapter, known to be good.
    ///
    /// # Panics
    ///
    /// When `text` is no endpoint. Meant for literals that a test covers.
    pub fn literal(text: &'static str) -> Self {
        match Self::parse(text) {
            Ok(endpoint) => endpoint,
            Err(error) => panic!("{text}: {error}"),
        }
    }

    /// The same host with another path.
    #[must_use]
    pub fn at_path(&self, path: &str) -> Self {
        let mut url = self.0.url.clone();
        url.set_path(path);
        // A path that a URL has accepted is encoded, and fits in a request line.
        Self::of(url).unwrap_or_else(|| self.clone())
    }

    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same path below `base`: scheme, host, port and path prefix are the base's.
    pub(crate) fn rebased(&self, base: &Self) -> Self {
        let prefix = base.0.url.path().trim_end_matches('/');
        base.at_path(&format!("{prefix}{}", self.0.url.path()))
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0.url
    }

    /// The same as a URI.
    pub fn uri(&self) -> &Uri {
        &self.0.uri
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
            "http://a.localhost/x",
        ] {
            assert!(Endpoint::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://a.example/x",
            "http://10.0.0.1/x",
            "http://localhost.example/x",
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
