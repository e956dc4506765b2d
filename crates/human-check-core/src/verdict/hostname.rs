use std::fmt;

use crate::ConfigError;

/// A host name in one normal form: ASCII, lower case, without port and trailing dot.
///
/// With the feature `idna`, a name in Unicode is converted to its ASCII form (`xn--…`). Without it,
/// such a name is not accepted. A name that the conversion changes in more than the case, such as
/// one with an invisible character, is not accepted. IP addresses are accepted, IPv6 addresses in
/// brackets.
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

    /// Returns whether the host is the machine itself: `localhost` or a loopback address.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.0.trim_start_matches('[').trim_end_matches(']');
        let address: Option<std::net::IpAddr> = bare.parse().ok();
        self.0 == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    /// Returns whether the last label is a number. Browsers read such a host as an IPv4 address.
    fn ends_in_a_number(&self) -> bool {
        let last = self.0.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").unwrap_or("-");
        last.bytes().all(|b| b.is_ascii_digit())
            || hexadecimal.bytes().all(|b| b.is_ascii_hexdigit())
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
        let is_address = text.starts_with('[');
        if text.contains(':') && !is_address || text.contains("]:") {
            return Err(bad(
                "write the host without a port: providers report hosts alone, so a port has no effect",
            ));
        }
        if let Some(parent) = text.strip_prefix("*.") {
            let parent = Hostname::parse(parent)
                .ok_or_else(|| bad("write `*.example.com` for all hosts below example.com"))?;
            if !parent.as_str().contains('.') {
                return Err(bad("write at least two labels after `*.`"));
            }
            if parent.ends_in_a_number() {
                return Err(bad("write each address in full; `*.` is for names"));
            }
            if is_public_suffix(&parent) {
                return Err(ConfigError::new(
                    "hostnames",
                    format!("contains {text:?}, below which anybody can register a host"),
                    "write the hosts of your own site, or `*.` and your own domain",
                ));
            }
            return Ok(Self::Under(parent));
        }
        let name = Hostname::parse(text);
        if let Some(name) = &name
            && name.ends_in_a_number()
            && name.as_str().parse::<std::net::Ipv4Addr>().is_err()
        {
            return Err(bad(
                "write an IPv4 address as four numbers, such as 192.0.2.1",
            ));
        }
        name.map(Self::Exact)
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

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Under(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// Returns whether anybody can register hosts below `name`, as below `co.uk` and `github.io`.
///
/// The list is that of <https://publicsuffix.org>, with its private section.
#[cfg(feature = "public-suffix")]
fn is_public_suffix(name: &Hostname) -> bool {
    let is_suffix = |name: &str| {
        let suffix = psl::suffix(name.as_bytes());
        suffix.is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
    };
    // Some rules of the list are for the names below a name, such as each below `kawasaki.jp`.
    is_suffix(name.as_str()) || is_suffix(&format!("x.{}", name.as_str()))
}

/// Without the list no name of two labels or more is known as one.
#[cfg(not(feature = "public-suffix"))]
fn is_public_suffix(_: &Hostname) -> bool {
    false
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
        // The ASCII form of no name is the name of no page.
        let is_encoded = |label: &str| label.len() > 3 && label[..4].eq_ignore_ascii_case("xn--");
        let is_valid = |name: &str| idna::domain_to_unicode(name).1.is_ok();
        return (!name.split('.').any(is_encoded) || is_valid(name)).then(|| name.to_owned());
    }
    let ascii = idna::domain_to_ascii_strict(name).ok()?;
    // The conversion drops invisible characters, and maps full-width letters to plain ones. Browsers
    // do that before they report a host, so a name that still needs it is not what it looks like.
    let (unicode, valid) = idna::domain_to_unicode(&ascii);
    (valid.is_ok() && unicode == name.to_lowercase()).then_some(ascii)
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
            "www.example.com:8443",
            "[::1]:8443",
            "127.0.0.1:3000",
            "*.0.113.5",
            "*.203.0.113.5",
            "*.1.0x7f",
            "*.[::1]",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "1.2.3.4.5",
            "example.1",
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
        assert_eq!(host("straße.example").as_str(), "xn--strae-oqa.example");
        assert_eq!(host("пример.example:443").as_str(), "xn--e1afmkfd.example");
    }

    #[cfg(feature = "idna")]
    #[test]
    fn a_name_that_looks_like_another_is_not_that_name() {
        for text in [
            "exam\u{feff}ple.com",
            "exam\u{200b}ple.com",
            "exam\u{ad}ple.com",
            "exam\u{2060}ple.com",
            "exam\u{fe0f}ple.com",
            "\u{ff45}xample.com",
            "example\u{3002}com",
            "example\u{ff0e}com",
            "ex\u{200d}ample.com",
            "\u{2460}.example",
            "mu\u{308}nchen.example",
            "xn--.example",
            "xn--a.example",
            "XN--99999999.example",
            "xn--example-.com",
        ] {
            assert!(Hostname::parse(text).is_none(), "{text:?}");
        }
        // A letter of another alphabet makes another name.
        let look_alike = Hostname::parse("ex\u{430}mple.com").unwrap();
        assert_ne!(look_alike, host("example.com"));
    }

    #[cfg(feature = "public-suffix")]
    #[test]
    fn a_wildcard_over_a_public_suffix_is_refused() {
        for suffix in [
            "co.uk",
            "com.au",
            "github.io",
            "vercel.app",
            "netlify.app",
            "pages.dev",
            "herokuapp.com",
            "s3.amazonaws.com",
            "kawasaki.jp",
            "CO.UK.",
        ] {
            let error = HostPattern::parse(&format!("*.{suffix}")).unwrap_err();
            assert!(error.problem().contains("anybody"), "{error}");
        }
        for own in [
            "example.co.uk",
            "shop.github.io",
            "example.com",
            "corp.internal",
            "a.test",
        ] {
            assert!(HostPattern::parse(&format!("*.{own}")).is_ok(), "{own}");
        }
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn unicode_names_name_the_remedy() {
        let error = HostPattern::parse("münchen.example").unwrap_err();
        assert!(error.remedy().contains("xn--"), "{error}");
    }
}
