use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use human_check_core::ConfigError;
use url::Url;

use crate::endpoint::is_remote;

/// The egress proxy of a network whose servers reach the internet through one only.
///
/// A transport opens a tunnel through it to the provider, with HTTP `CONNECT`. So the proxy sees the
/// provider's name and no content: TLS runs between the transport and the provider. Calls to a
/// loopback address use no proxy. `Debug` shows neither user name nor password.
///
/// ```
/// use human_check_http::Proxy;
///
/// let proxy = Proxy::parse("http://proxy.internal:3128")?;
/// let with_password = Proxy::parse("http://ada:s3cret@proxy.internal:3128")?;
/// assert!(!format!("{with_password:?}").contains("s3cret"));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    pub(crate) uri: Uri,
    /// The value of the header `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Parses the URL of an HTTP proxy, with a user name and a password if the proxy needs them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `text` is not an `http` URL of a host, or has a path. The error does not
    /// repeat the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = |problem| {
            ConfigError::new(
                "proxy",
                problem,
                "write scheme, host and port, such as `http://proxy.internal:3128`",
            )
        };
        let url = Url::parse(text).map_err(|_| bad("is not an absolute URL"))?;
        if url.scheme() != "http" {
            return Err(bad(
                "is not `http`; the content is encrypted inside of the tunnel all the same",
            ));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("has more than a host and a port"));
        }
        let host = url.host_str().ok_or_else(|| bad("has no host"))?;
        let port = url.port_or_known_default().unwrap_or(80);
        let uri = format!("http://{host}:{port}")
            .parse()
            .map_err(|_| bad("has a host that cannot be connected to"))?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                Some(basic(user, password.unwrap_or_default()).ok_or_else(|| {
                    bad("has a user name or a password that is not percent-encoded text")
                })?)
            }
        };
        Ok(Self { uri, authorization })
    }

    /// Returns whether a connection to the host of `url` uses the proxy. One to this machine does not.
    pub(crate) fn serves(url: &Url) -> bool {
        is_remote(url)
    }
}

/// Returns the header of HTTP's basic authentication. `None` if a part is not percent-encoded UTF-8.
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let decoded = |text| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .ok()
    };
    let credentials = format!("{}:{}", decoded(user)?, decoded(password)?);
    let value = format!("Basic {}", STANDARD.encode(credentials));
    let mut value: HeaderValue = value.parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_become_a_header_that_nothing_shows() {
        let proxy = Proxy::parse("http://ada:p%40ss%3Aword@proxy.internal:3128").unwrap();
        assert_eq!(proxy.uri, "http://proxy.internal:3128");
        let header = proxy.authorization.as_ref().unwrap();
        assert_eq!(
            header,
            &format!("Basic {}", STANDARD.encode("ada:p@ss:word"))
        );
        let shown = format!("{proxy:?} {header:?}");
        assert!(!shown.contains("ada") && !shown.contains("pass"), "{shown}");
        assert_eq!(Proxy::parse("http://[::1]").unwrap().uri, "http://[::1]:80");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_text() {
        for text in [
            "",
            "proxy.internal:3128",
            "proxy.internal",
            "https://ada:hunter2@proxy.internal",
            "socks5://ada:hunter2@proxy.internal",
            "http://ada:hunter2@proxy.internal/path",
            "http://ada:hunter2@proxy.internal/?x",
            "http://ada:hunter2@",
        ] {
            let error = Proxy::parse(text).unwrap_err();
            assert_eq!(error.field(), "proxy", "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn this_machine_is_reached_without_the_proxy() {
        let serves = |url: &str| Proxy::serves(&Url::parse(url).unwrap());
        for own in [
            "http://127.0.0.1",
            "http://[::1]",
            "http://localhost",
            "http://169.254.169.254",
        ] {
            assert!(!serves(own), "{own}");
        }
        for other in [
            "https://api.hcaptcha.com",
            "https://10.0.0.1",
            "https://localhost.example",
        ] {
            assert!(serves(other), "{other}");
        }
    }
}
