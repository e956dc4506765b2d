use std::fmt;

use crate::ConfigError;

/// A host name in one normal form: ASCII, lower case, without port and trailing dot.
///
/// With the feature `idna`, a name in Unicode is converted to its ASCII form (`xn--…`). Without it,
/// such a name is not accepted. IP addresses are accepted, IPv6 addresses in brackets.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Hostname(String);

impl Hostname {
    /// Parses the host name that a provider reports or a configuration states.
    ///
    /// Returns `None` if `text` is not a host name. A port is allowed and removed; a scheme or a
    /// path is not allowed.
    ///
    /// ```
    /// use human_check_core::Hostname;
    ///
    /// assert_eq!(Hostname::parse("WWW.Example.COM.:8443").unwrap().as_str(), "www.example.com");
    /// assert!(Hostname::parse("https://example.com").is_none());
    /// assert!(Hostname::parse("").is_none());
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let name = without_port(text)?;
        if name.starts_with('[') {
            // An IPv6 address keeps its brackets, so that it cannot be confused with a name.
            let inner = name.strip_prefix('[')?.strip_suffix(']')?;
            let address: std::net::Ipv6Addr = inner.parse().ok()?;
            return Some(Self(format!("[{address}]")));
        }
        let mut name = to_ascii(name.strip_suffix('.').unwrap_or(name))?;
        name.make_ascii_lowercase();
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        (name.len() <= 253 && name.split('.').all(label)).then_some(Self(name))
    }

    /// Returns the name in its normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of an allow-list: a host, or all hosts below a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum HostPattern {
    Exact(Hostname),
    Under(Hostname),
}

impl HostPattern {
    /// Parses a host name, or `*.` and a host name for all hosts below it.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = |remedy| {
            ConfigError::new(
                "hostnames",
                format!("contains {text:?}, which is not a host name"),
                remedy,
            )
        };
        if let Some(parent) = text.strip_prefix("*.") {
            let parent = Hostname::parse(parent)
                .filter(|_| !parent.contains(':'))
                .ok_or_else(|| bad("write `*.example.com` for all hosts below example.com"))?;
            if !parent.as_str().contains('.') {
                return Err(bad("write at least two labels after `*.`"));
            }
            return Ok(Self::Under(parent));
        }
        Hostname::parse(text)
            .map(Self::Exact)
            .ok_or_else(|| bad(if text.is_ascii() {
                "write the host name alone, such as `www.example.com`: no scheme, no path, and `*.` at the start only"
            } else if cfg!(feature = "idna") {
                "write a name that can be converted to an ASCII host name"
            } else {
                "write the ASCII form of the name, which begins with `xn--`, or enable the feature `idna`"
            }))
    }

    /// Returns whether `host` matches. Whole labels are compared: `evil-example.com` is not below
    /// `example.com`.
    pub(crate) fn matches(&self, host: &Hostname) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Under(parent) => host
                .as_str()
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

/// Returns `text` without a port. `None` if the text after the colon is not a port.
fn without_port(text: &str) -> Option<&str> {
    let after_brackets = text.rfind(']').map_or(0, |i| i + 1);
    match text[after_brackets..].find(':') {
        None => Some(text),
        Some(colon) => {
            let (name, port) = text.split_at(after_brackets + colon);
            let port = &port[1..];
            (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.len() <= 5)
                .then_some(name)
        }
    }
}

/// Returns the name in ASCII. `None` if it has no ASCII form.
#[cfg(feature = "idna")]
fn to_ascii(name: &str) -> Option<String> {
    if name.is_ascii() {
        return Some(name.to_owned());
    }
    idna::domain_to_ascii_strict(name).ok()
}

/// Returns the name if it is ASCII.
#[cfg(not(feature = "idna"))]
fn to_ascii(name: &str) -> Option<String> {
    name.is_ascii().then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn hostnames_compare_without_case_port_and_trailing_dot() {
        for text in [
            "example.com",
            "EXAMPLE.com",
            "example.com.",
            "example.com:443",
            "Example.Com.:8080",
        ] {
            assert_eq!(host(text).as_str(), "example.com", "{text}");
        }
        assert_eq!(host("[::1]:80").as_str(), "[::1]");
        assert_eq!(host("127.0.0.1:3000").as_str(), "127.0.0.1");
    }

    #[test]
    fn what_is_no_hostname_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            "https://a.b",
            "a.b/c",
            "a b",
            "user@a.b",
            "a.b:",
            "a.b:x",
            "a.b:123456",
            "*.a.b",
            "[::1",
            "[zz]",
            "a.b:80:90",
            "\u{0}",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert!(Hostname::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn wildcards_match_whole_labels_only() {
        let under = HostPattern::parse("*.example.com").unwrap();
        assert!(under.matches(&host("www.example.com")));
        assert!(under.matches(&host("a.b.example.com")));
        for other in [
            "example.com",
            "evil-example.com",
            "example.com.evil.net",
            "notexample.com",
        ] {
            assert!(!under.matches(&host(other)), "{other}");
        }
        for bad in [
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "www.*",
            "*.example.com:443",
            "*example.com",
            "",
        ] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn unicode_names_become_ascii() {
        assert_eq!(host("MÜNCHEN.example").as_str(), "xn--mnchen-3ya.example");
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn unicode_names_name_the_remedy() {
        let error = HostPattern::parse("münchen.example").unwrap_err();
        assert!(error.remedy().contains("xn--"), "{error}");
    }
}
