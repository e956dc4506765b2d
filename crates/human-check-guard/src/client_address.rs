use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

use human_check_core::ConfigError;
use ipnet::IpNet;

use crate::RequestHead;

/// Where the visitor's address comes from: the socket, or one header that your own proxies write.
///
/// The default is the socket, and no header is read. Behind a proxy that is the proxy's address,
/// so name the one header it writes and the networks it connects from. Nothing else is ever
/// looked at: a visitor can send every other header too.
///
/// * A request that does not come from a trusted proxy has the address of its socket.
/// * A list is read from the right, where the nearest proxy wrote. Trusted proxies are passed
///   over; the first other address is the visitor. Where all are trusted, the leftmost is.
/// * An entry that cannot be read before the visitor is found makes the address *unknown*, as
///   does a header that a trusted proxy did not send. So does a Unix socket, which has no peer.
///   Unknown is `None`, never a guess.
///
/// Addresses are read as `192.0.2.7`, `192.0.2.7:443`, `2001:db8::7`, `[2001:db8::7]` and
/// `[2001:db8::7]:443`. Names, `unknown`, `_hidden` and zones (`fe80::1%eth0`) are unreadable.
/// An IPv4 address inside IPv6 (`::ffff:192.0.2.7`) is the IPv4 address everywhere.
///
/// # Trusted proxies
///
/// Each entry is one address or one network: `10.0.0.2`, `10.0.0.0/8`, `fd00::/8`. Every
/// constructor that takes them fails with a [`ConfigError`] on `trusted_proxies` when there are
/// none, when one cannot be read, when one is every address (`0.0.0.0/0`, `::/0`), and when one
/// is an address *inside* a network (`10.0.0.2/8`): that could mean one address or sixteen
/// million, and guessing wrong would trust strangers.
#[derive(Clone, Debug, Default)]
pub struct ClientAddress {
    source: Source,
    trusted: Vec<IpNet>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Socket,
    XForwardedFor,
    Forwarded,
    Header(String),
    Cloudflare,
}

impl ClientAddress {
    /// The address at the other end of the socket. Right when no proxy stands in front.
    pub fn socket() -> Self {
        Self::default()
    }

    /// `X-Forwarded-For`, to which each proxy appends the address that connected to it.
    ///
    /// Every proxy in front must append or overwrite. One that passes the header on untouched
    /// hands you the visitor's own text.
    ///
    /// # Errors
    ///
    /// When the [trusted proxies](Self#trusted-proxies) are unusable.
    pub fn x_forwarded_for<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::XForwardedFor, trusted)
    }

    /// The `for` parameters of `Forwarded` (RFC 7239).
    ///
    /// A line that ends inside a quoted string makes the address unknown: a visitor can open a
    /// quote that swallows what the proxy appends.
    ///
    /// # Errors
    ///
    /// When the [trusted proxies](Self#trusted-proxies) are unusable.
    pub fn forwarded<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::Forwarded, trusted)
    }

    /// A header with one address, which the proxy overwrites: `X-Real-IP`, `Fly-Client-IP` and
    /// the like. Twice in a request, or not one address, makes the address unknown.
    ///
    /// # Errors
    ///
    /// When `name` is no header name or the name of a list (field `header`), or when the
    /// [trusted proxies](Self#trusted-proxies) are unusable.
    pub fn header<S: AsRef<str>>(
        name: &str,
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let name = name.to_ascii_lowercase();
        let remedy = match name.as_str() {
            "x-forwarded-for" => "use `ClientAddress::x_forwarded_for`, since it holds a list",
            "forwarded" => "use `ClientAddress::forwarded`, since it holds a list",
            _ if name.is_empty() || !name.bytes().all(is_token) => {
                "write the bare name of the header, like `X-Real-IP`"
            }
            _ => return Self::behind(Source::Header(name), trusted),
        };
        let problem = format!("is {name:?}, not the name of a header with one address");
        Err(ConfigError::new("header", problem, remedy))
    }

    /// `CF-Connecting-IP`, from the networks that Cloudflare publishes.
    ///
    /// The networks are built in and change rarely. From one that is missing, every visitor has
    /// the address of the edge; one that Cloudflare gave up would trust its next owner. Replace
    /// them with [`cloudflare_behind`](Self::cloudflare_behind).
    ///
    /// Besides it, `CF-Worker` and `CF-Connecting-IPv6` are read. What the edge writes is
    /// documented by Cloudflare; what follows from it is inferred here:
    ///
    /// * Documented: `2a06:98c0:3600::103` stands for every Worker of another zone. Inferred: it
    ///   is nobody's address, so unknown.
    /// * Documented: Pseudo IPv4 can overwrite the address with a made-up one of class E
    ///   (`240.0.0.0/4`). Inferred: such an address means that, so `CF-Connecting-IPv6` is read
    ///   instead.
    /// * Documented: `CF-Worker` marks a request made by a Worker, and a Worker can choose the
    ///   address that its own zone's origin is told. Inferred: any customer can name your server
    ///   as an origin, so the address is unknown. If your own Worker stands in front, and nobody
    ///   else's zone can reach your server, use [`header`](Self::header) with `CF-Connecting-IP`.
    ///
    /// # Security
    ///
    /// A peer in these networks proves that *some* customer's edge is talking, not yours. The
    /// rules of your firewall at the edge need not have run. Authenticated origin pulls, a tunnel
    /// or a secret header close that.
    pub fn cloudflare() -> Self {
        Self {
            source: Source::Cloudflare,
            trusted: CLOUDFLARE
                .split_whitespace()
                .filter_map(parse_network)
                .collect(),
        }
    }

    /// The same as [`cloudflare`](Self::cloudflare) from other networks: a newer list, or the
    /// tunnel or proxy of your own that passes Cloudflare's headers on.
    ///
    /// # Errors
    ///
    /// When the [trusted proxies](Self#trusted-proxies) are unusable.
    pub fn cloudflare_behind<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::Cloudflare, trusted)
    }

    fn behind<S: AsRef<str>>(
        source: Source,
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let trusted = trusted
            .into_iter()
            .map(|entry| network(entry.as_ref().trim()))
            .collect::<Result<Vec<_>, _>>()?;
        if trusted.is_empty() {
            return Err(ConfigError::new(
                "trusted_proxies",
                "is empty, so the header would never be read",
                "list the addresses of your proxies, like `10.0.0.2` or `10.0.0.0/8`, \
                 or take the address of the socket when there is none",
            ));
        }
        Ok(Self { source, trusted })
    }

    /// The visitor's address; `None` when it is unknown.
    ///
    /// Never panics. The work grows with the header's length times the number of networks, and a
    /// list is read only until the visitor is found.
    pub fn resolve(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        let peer = head.peer()?.to_canonical();
        if !self.holds(peer) {
            return Some(peer);
        }
        match &self.source {
            Source::Socket => Some(peer),
            Source::XForwardedFor => self.read_x_forwarded_for(head),
            Source::Forwarded => self.read_forwarded(head),
            Source::Header(name) => single(head, name),
            Source::Cloudflare => read_cloudflare(head),
        }
    }

    /// Whether this peer is one of the configured proxies, whose headers may be believed.
    ///
    /// Always false for [`socket`](Self::socket) and for a Unix socket (`None`).
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.holds(peer.to_canonical()))
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    fn read_x_forwarded_for(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        let mut found = None;
        head.header("x-forwarded-for", &mut |line| {
            let hops = line
                .rsplit(|b| *b == b',')
                .map(|hop| node(hop.trim_ascii()));
            found = self.walk(hops, found);
        });
        found?
    }

    fn read_forwarded(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        let (mut found, mut whole) = (None, true);
        head.header("forwarded", &mut |line| match split_unquoted(line, b',') {
            Some(elements) => {
                found = self.walk(elements.into_iter().rev().map(forwarded_for), found);
            }
            None => whole = false,
        });
        found?.filter(|_| whole)
    }

    /// Reads one header line from the right, given what the lines before it came to.
    ///
    /// A line of nothing but trusted proxies leaves the answer to the lines before it. That makes
    /// many lines one list, as HTTP has it, without copying them together. Outside is whether
    /// there was a line, inside is the answer.
    fn walk(
        &self,
        mut hops_from_right: impl Iterator<Item = Option<IpAddr>>,
        before: Option<Option<IpAddr>>,
    ) -> Option<Option<IpAddr>> {
        let walked = hops_from_right.try_fold(None, |_, hop| match hop {
            Some(address) if self.holds(address) => ControlFlow::Continue(hop),
            visitor_or_unreadable => ControlFlow::Break(visitor_or_unreadable),
        });
        match walked {
            ControlFlow::Break(answer) => Some(answer),
            ControlFlow::Continue(leftmost) => before.or(Some(leftmost)),
        }
    }
}

/// The address in a header that may stand there once and hold one.
fn single(head: &dyn RequestHead, name: &str) -> Option<IpAddr> {
    let (mut lines, mut address) = (0_usize, None);
    head.header(name, &mut |line| {
        lines += 1;
        address = node(line.trim_ascii());
    });
    address.filter(|_| lines == 1)
}

fn read_cloudflare(head: &dyn RequestHead) -> Option<IpAddr> {
    let mut from_worker = false;
    head.header("cf-worker", &mut |_| from_worker = true);
    if from_worker {
        return None;
    }
    let address = match single(head, "cf-connecting-ip")? {
        IpAddr::V4(made_up) if made_up.octets()[0] >= 240 => {
            single(head, "cf-connecting-ipv6").filter(IpAddr::is_ipv6)?
        }
        address => address,
    };
    (address != FOREIGN_WORKER).then_some(address)
}

/// The `for` of one element of `Forwarded`. `None` when it is absent, repeated or unreadable, or
/// when anything in the element is not `name=value`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut address = None;
    for pair in split_unquoted(element, b';')? {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue; // The grammar allows `for=192.0.2.7;`.
        }
        let (name, value) = pair.split_at(pair.iter().position(|b| *b == b'=')?);
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for")
            && address.replace(node(unquoted(&value[1..])?)?).is_some()
        {
            return None;
        }
    }
    address
}

/// What a quoted string says, or the token itself. No address needs a backslash, so one is left
/// in place and makes the address unreadable.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        None => Some(value),
    }
}

/// Splits where the separator stands outside of quotes. `None` when the text ends inside one.
fn split_unquoted(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text
        .split(|byte| {
            if escaped {
                escaped = false;
            } else if quoted && *byte == b'\\' {
                escaped = true;
            } else if *byte == b'"' {
                quoted = !quoted;
            }
            !quoted && *byte == separator
        })
        .collect();
    (!quoted).then_some(parts)
}

/// One address as proxies write it, with or without a port.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port): (IpAddr, _) = if let Some(rest) = text.strip_prefix('[') {
        let (v6, port) = rest.split_once(']')?;
        (v6.parse::<Ipv6Addr>().ok()?.into(), port)
    } else if let Ok(address) = text.parse() {
        // Before looking for a port, since a bare IPv6 address is full of colons.
        (address, "")
    } else {
        let (v4, port) = text.split_at(text.find(':')?);
        (v4.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    let port_is_sound = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| number::<u16>(port).is_some());
    port_is_sound.then_some(address.to_canonical())
}

/// A number of digits only: Rust's own parser would take `+80`.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Whether a byte may stand in a header or parameter name (RFC 9110, `tchar`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One entry of the trusted proxies.
fn network(entry: &str) -> Result<IpNet, ConfigError> {
    let refuse = |problem: &str, remedy: &str| {
        let problem = format!("holds {entry:?}, {problem}");
        Err(ConfigError::new(
            "trusted_proxies",
            problem,
            remedy.to_owned(),
        ))
    };
    let Some(network) = parse_network(entry) else {
        return refuse(
            "neither an address nor a network",
            "write each proxy as an entry of its own, like `10.0.0.2` or `10.0.0.0/8`",
        );
    };
    let (whole, address) = (network.trunc(), network.addr());
    if network.prefix_len() == 0 {
        refuse(
            "which is every address, so that visitors could write their own",
            "list the networks of your own proxies only, like `10.0.0.0/8`",
        )
    } else if network != whole {
        let remedy = format!("write `{whole}` for the network or `{address}` for the one address");
        refuse("an address inside a network", &remedy)
    } else {
        Ok(network)
    }
}

fn parse_network(entry: &str) -> Option<IpNet> {
    let Some((address, prefix)) = entry.split_once('/') else {
        return entry
            .parse()
            .ok()
            .map(|ip: IpAddr| ip.to_canonical().into());
    };
    let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, number(prefix)?);
    // Peers and hops are compared in canonical form, so `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
    match address.to_canonical() {
        mapped if mapped != address && prefix >= 96 => IpNet::new(mapped, prefix - 96).ok(),
        _ => IpNet::new(address, prefix).ok(),
    }
}

/// What Cloudflare writes for a visitor that is a Worker of another zone.
const FOREIGN_WORKER: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a06, 0x98c0, 0x3600, 0, 0, 0, 0, 0x103));

/// The networks published at <https://www.cloudflare.com/ips-v4> and `…/ips-v6`.
const CLOUDFLARE: &str = "
    173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18
    108.162.192.0/18 190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17
    162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 131.0.72.0/22
    2400:cb00::/32 2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32
    2a06:98c0::/29 2c0f:f248::/32";

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with a peer and header lines. Only the names in `may_read` may be asked for.
    struct Head<'a> {
        peer: Option<IpAddr>,
        lines: &'a [(&'a str, &'a [u8])],
        may_read: &'a [&'a str],
    }

    impl RequestHead for Head<'_> {
        fn method(&self) -> &str {
            panic!("the method is nobody's address")
        }

        fn peer(&self) -> Option<IpAddr> {
            self.peer
        }

        fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {
            panic!("only named headers are read")
        }

        fn header(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
            assert!(self.may_read.contains(&name), "read `{name}`");
            for (_, value) in self.lines.iter().filter(|(n, _)| *n == name) {
                line(value);
            }
        }
    }

    const OURS: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];
    const PROXY: &str = "10.0.0.2";
    const EDGE: &str = "172.68.1.1";
    const CLIENT: Option<&str> = Some("203.0.113.7");
    const FAKE: &str = "198.51.100.66";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What may be read with these settings, written down a second time on purpose.
    fn may_read(settings: &ClientAddress) -> Vec<&str> {
        match &settings.source {
            Source::Socket => vec![],
            Source::XForwardedFor => vec!["x-forwarded-for"],
            Source::Forwarded => vec!["forwarded"],
            Source::Header(name) => vec![name],
            Source::Cloudflare => vec!["cf-worker", "cf-connecting-ip", "cf-connecting-ipv6"],
        }
    }

    #[track_caller]
    fn check(settings: &ClientAddress, peer: &str, lines: &[(&str, &str)], want: Option<&str>) {
        let bytes: Vec<_> = lines.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let head = Head {
            peer: Some(ip(peer)),
            lines: &bytes,
            may_read: &may_read(settings),
        };
        assert_eq!(settings.resolve(&head), want.map(ip), "{peer} {lines:?}");
    }

    fn xff() -> ClientAddress {
        ClientAddress::x_forwarded_for(OURS).unwrap()
    }

    fn forwarded() -> ClientAddress {
        ClientAddress::forwarded(OURS).unwrap()
    }

    fn real_ip() -> ClientAddress {
        ClientAddress::header("X-Real-IP", OURS).unwrap()
    }

    #[track_caller]
    fn check_xff(lines: &[&str], want: Option<&str>) {
        let lines: Vec<_> = lines.iter().map(|v| ("x-forwarded-for", *v)).collect();
        check(&xff(), PROXY, &lines, want);
    }

    #[track_caller]
    fn check_forwarded(lines: &[&str], want: Option<&str>) {
        let lines: Vec<_> = lines.iter().map(|v| ("forwarded", *v)).collect();
        check(&forwarded(), PROXY, &lines, want);
    }

    #[track_caller]
    fn check_cloudflare(lines: &[(&str, &str)], want: Option<&str>) {
        check(&ClientAddress::cloudflare(), EDGE, lines, want);
    }

    // The attack matrix: our proxy is 10.0.0.2, the real visitor 203.0.113.7.

    #[test]
    fn a_fake_address_on_the_left_is_not_reached() {
        check_xff(&["198.51.100.66, 203.0.113.7"], CLIENT);
        check_xff(&["10.0.0.9, 203.0.113.7"], CLIENT);
        check_forwarded(&["for=198.51.100.66, for=203.0.113.7"], CLIENT);
    }

    #[test]
    fn lines_are_one_list_in_order() {
        check_xff(&[FAKE, "203.0.113.7"], CLIENT);
        check_xff(
            &[FAKE, "203.0.113.7", "10.0.0.3", "10.0.0.4, 10.0.0.5"],
            CLIENT,
        );
        check_xff(&["203.0.113.7, junk", "10.0.0.3"], None);
        check_xff(&["junk", "203.0.113.7", "10.0.0.3"], CLIENT);
        check_xff(&["10.0.0.3, 10.0.0.4", "10.0.0.5"], Some("10.0.0.3"));
        check_forwarded(&["for=198.51.100.66", "for=203.0.113.7"], CLIENT);
        check_forwarded(&["for=203.0.113.7", "for=10.0.0.3"], CLIENT);
    }

    #[test]
    fn another_chain_header_is_not_believed() {
        let lines = [
            ("forwarded", "for=198.51.100.66"),
            ("x-forwarded-for", "203.0.113.7"),
        ];
        check(&xff(), PROXY, &lines, CLIENT);
        let lines = [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", FAKE)];
        check(&forwarded(), PROXY, &lines, CLIENT);
    }

    #[test]
    fn garbage_left_of_the_visitor_does_not_matter() {
        check_xff(&["<script>, ,, unknown, 203.0.113.7"], CLIENT);
        check_forwarded(&["=;;x, for=a;for=b, for=203.0.113.7"], CLIENT);
    }

    #[test]
    fn ipv6_is_read_bare() {
        check_xff(&["2001:db8::7"], Some("2001:db8::7"));
        check_xff(&["2001:db8::7, fd00::1"], Some("2001:db8::7"));
        check_forwarded(&["for=2001:db8::7"], Some("2001:db8::7"));
    }

    #[test]
    fn ports_and_brackets_are_cut_off() {
        for form in ["203.0.113.7:4711", " 203.0.113.7\t", "203.0.113.7:0"] {
            check_xff(&[form], CLIENT);
            check(&real_ip(), PROXY, &[("x-real-ip", form)], CLIENT);
        }
        for form in ["[2001:db8::7]", "[2001:db8::7]:443", "2001:DB8::7"] {
            check_xff(&[form], Some("2001:db8::7"));
            check_forwarded(&[&format!("for={form}")], Some("2001:db8::7"));
            check_forwarded(&[&format!("for=\"{form}\"")], Some("2001:db8::7"));
        }
        check_forwarded(&["for=\"203.0.113.7:4711\""], CLIENT);
        check_forwarded(&["for=203.0.113.7:4711"], CLIENT);
    }

    #[test]
    fn own_proxies_are_passed_over() {
        check_xff(&["198.51.100.66, 203.0.113.7, 10.0.0.3"], CLIENT);
        check_forwarded(
            &["for=203.0.113.7, for=10.0.0.3, for=\"[fd00::1]:80\""],
            CLIENT,
        );
    }

    #[test]
    fn a_dual_stack_socket_is_the_same_proxy() {
        let lines = [("x-forwarded-for", "::ffff:203.0.113.7, ::ffff:10.0.0.3")];
        check(&xff(), "::ffff:10.0.0.2", &lines, CLIENT);
        check(&ClientAddress::socket(), "::ffff:203.0.113.7", &[], CLIENT);
        check_xff(&["[::ffff:203.0.113.7]:80"], CLIENT);
    }

    #[test]
    fn an_untrusted_peer_is_the_visitor_whatever_it_sends() {
        let lines = [
            ("x-forwarded-for", FAKE),
            ("forwarded", "for=198.51.100.66"),
            ("x-real-ip", FAKE),
            ("cf-connecting-ip", FAKE),
            ("cf-worker", "example.com"),
        ];
        let cloudflare = ClientAddress::cloudflare();
        for settings in [
            ClientAddress::socket(),
            xff(),
            forwarded(),
            real_ip(),
            cloudflare,
        ] {
            let peer = Some(ip("203.0.113.7"));
            let bytes = lines.map(|(n, v)| (n, v.as_bytes()));
            let head = Head {
                peer,
                lines: &bytes,
                may_read: &[],
            };
            assert_eq!(settings.resolve(&head), peer, "{settings:?}");
        }
    }

    #[test]
    fn other_address_headers_are_not_read() {
        let lines = [
            ("x-real-ip", FAKE),
            ("cf-connecting-ip", FAKE),
            ("true-client-ip", FAKE),
            ("x-forwarded-for", "203.0.113.7"),
        ];
        check(&xff(), PROXY, &lines, CLIENT);
        check(&ClientAddress::default(), PROXY, &lines, Some(PROXY));
        // Not even as a fallback.
        check(&forwarded(), PROXY, &lines, None);
        check(
            &ClientAddress::header("fly-client-ip", OURS).unwrap(),
            PROXY,
            &lines,
            None,
        );
        check(&ClientAddress::cloudflare(), EDGE, &lines[2..], None);
    }

    #[test]
    fn forwarded_unknown_does_not_fall_through() {
        let lines = [("forwarded", "for=unknown"), ("x-forwarded-for", FAKE)];
        check(&forwarded(), PROXY, &lines, None);
    }

    #[test]
    fn a_quote_that_swallows_the_proxys_element_makes_the_whole_unusable() {
        for line in [
            "for=198.51.100.66;x=\", for=203.0.113.7",
            "for=\"198.51.100.66, for=203.0.113.7",
            "for=198.51.100.66, x\", for=203.0.113.7",
            "for=198.51.100.66;x=\"\\\", for=203.0.113.7",
            "for=198.51.100.66;x=\"\\\\\\\", for=203.0.113.7",
            "for=198.51.100.66, for=\", for=\"[2001:db8::7]\"",
            "for=198.51.100.66, for=\"\\",
            "\"",
        ] {
            check_forwarded(&[line], None);
            // The whole header, whichever line it is that does not end.
            check_forwarded(&[line, "for=203.0.113.7"], None);
            check_forwarded(&["for=203.0.113.7", line], None);
        }
        // Two lines that balance only together are two broken lines.
        check_forwarded(&["for=1.1.1.1;x=\"", "\";y=z, for=203.0.113.7"], None);
    }

    // The other rules.

    #[test]
    fn separators_inside_quotes_do_not_separate() {
        check_forwarded(
            &["for=198.51.100.66, by=\"a, for=9.9.9.9;\";for=203.0.113.7"],
            CLIENT,
        );
        check_forwarded(&["by=\"\\\", for=9.9.9.9\";for=203.0.113.7"], CLIENT);
        check_forwarded(&["by=\"\\\\\";for=203.0.113.7"], CLIENT);
        // A backslash outside of quotes escapes nothing.
        check_forwarded(&["x=\\\", for=203.0.113.7"], None);
    }

    #[test]
    fn forwarded_elements() {
        for line in [
            "For=203.0.113.7",
            "FOR=203.0.113.7;proto=https",
            "proto=https ; by=_x;fOr=\"203.0.113.7\";host=\"a:80\"",
            ";for=203.0.113.7;;",
        ] {
            check_forwarded(&[line], CLIENT);
        }
        for element in [
            "",
            "proto=https",
            "for",
            "for=",
            "for=\"\"",
            "for= 203.0.113.7",
            "for =203.0.113.7",
            "for=\" 203.0.113.7\"",
            "for=\"203.0.113.7\"x",
            "for=\"203.0.113.7\"\"\"",
            "for=x\"203.0.113.7\"",
            "for=\"203.0.113.\\7\"",
            "for=203.0.113.7;for=203.0.113.7",
            "for=203.0.113.7;FOR=\"198.51.100.66\"",
            "for=_hidden",
            "for=\"_hidden:80\"",
            "for=unknown",
            "for=203.0.113.7:_port",
            "for=203.0.113.7;junk",
            "for=203.0.113.7;=x",
            "203.0.113.7",
        ] {
            check_forwarded(&[element], None);
            check_forwarded(
                &[&format!("for=198.51.100.66, {element}, for=10.0.0.3")],
                None,
            );
        }
    }

    #[test]
    fn an_unreadable_hop_before_the_visitor_means_unknown() {
        for hop in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "\"203.0.113.7\"",
            "203.0.113",
            "203.0.113.07",
            "203.0.113.7.1",
            "203.0.113.7:",
            "203.0.113.7:http",
            "203.0.113.7:+80",
            "203.0.113.7:65536",
            "203.0.113.7 10.0.0.2",
            "[203.0.113.7]",
            "[2001:db8::7",
            "[2001:db8::7]443",
            "[2001:db8::7]:",
            "[2001:db8::7]:x",
            "[2001:db8::7]]",
            "2001:db8::7]",
            "fe80::1%eth0",
            "[fe80::1%25eth0]:80",
            "10.0.0.0/8",
            "１０.0.0.2",
        ] {
            check_xff(&[hop], None);
            check_xff(&[&format!("198.51.100.66,{hop}")], None);
            check_xff(&[&format!("198.51.100.66,{hop},10.0.0.3")], None);
            check(&real_ip(), PROXY, &[("x-real-ip", hop)], None);
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_hop_only() {
        let settings = xff();
        let ask = |value: &[u8]| {
            settings.resolve(&Head {
                peer: Some(ip(PROXY)),
                lines: &[("x-forwarded-for", value)],
                may_read: &["x-forwarded-for"],
            })
        };
        assert_eq!(ask(b"\xff\xfe, 203.0.113.7"), CLIENT.map(ip));
        assert_eq!(ask(b"203.0.113.7, \xff"), None);
    }

    #[test]
    fn where_all_are_trusted_the_leftmost_is_the_visitor() {
        check_xff(&["10.1.1.1, 10.0.0.3"], Some("10.1.1.1"));
        check_forwarded(&["for=10.1.1.1, for=10.0.0.3"], Some("10.1.1.1"));
        check_xff(&["junk, 10.1.1.1"], None);
    }

    #[test]
    fn an_absent_header_means_unknown() {
        for settings in [xff(), forwarded(), real_ip()] {
            check(&settings, PROXY, &[], None);
        }
        check_cloudflare(&[], None);
    }

    #[test]
    fn a_unix_socket_has_no_address() {
        let cloudflare = ClientAddress::cloudflare();
        for settings in [
            ClientAddress::socket(),
            xff(),
            forwarded(),
            real_ip(),
            cloudflare,
        ] {
            let lines: &[(&str, &[u8])] = &[("x-forwarded-for", b"203.0.113.7")];
            let head = Head {
                peer: None,
                lines,
                may_read: &[],
            };
            assert_eq!(settings.resolve(&head), None);
            assert!(!settings.trusts(None));
        }
    }

    #[test]
    fn a_single_value_stands_once() {
        let line = ("x-real-ip", "203.0.113.7");
        check(&real_ip(), PROXY, &[line], CLIENT);
        check(&real_ip(), PROXY, &[line, line], None);
        check(
            &real_ip(),
            PROXY,
            &[("x-real-ip", "203.0.113.7, 203.0.113.7")],
            None,
        );
        check(
            &real_ip(),
            PROXY,
            &[("x-real-ip", "10.0.0.9")],
            Some("10.0.0.9"),
        );
        // Class E is nothing special outside of the Cloudflare preset.
        check(
            &real_ip(),
            PROXY,
            &[("x-real-ip", "240.0.0.1")],
            Some("240.0.0.1"),
        );
    }

    #[test]
    fn trusts_the_configured_proxies_only() {
        assert!(!ClientAddress::socket().trusts(Some(ip(PROXY))));
        assert!(xff().trusts(Some(ip("::ffff:10.0.0.2"))));
        assert!(!xff().trusts(Some(ip("11.0.0.2"))));
        assert!(ClientAddress::cloudflare().trusts(Some(ip("2606:4700::1"))));
        assert!(!ClientAddress::cloudflare().trusts(Some(ip("10.0.0.2"))));
    }

    // Cloudflare.

    #[test]
    fn cloudflare_names_the_visitor() {
        check_cloudflare(&[("cf-connecting-ip", "203.0.113.7")], CLIENT);
        check_cloudflare(&[("cf-connecting-ip", "2001:db8::7")], Some("2001:db8::7"));
        check_cloudflare(
            &[("cf-connecting-ip", FAKE), ("cf-connecting-ip", FAKE)],
            None,
        );
        check_cloudflare(&[("cf-connecting-ip", "unknown")], None);
        // An IPv6 header beside an ordinary address changes nothing.
        let lines = [
            ("cf-connecting-ip", "203.0.113.7"),
            ("cf-connecting-ipv6", "2001:db8::9"),
        ];
        check_cloudflare(&lines, CLIENT);
        check_cloudflare(&lines[1..], None);
    }

    #[test]
    fn a_worker_has_no_visitors_address() {
        for address in ["2a06:98c0:3600::103", "2a06:98c0:3600:0:0:0:0:103"] {
            check_cloudflare(&[("cf-connecting-ip", address)], None);
        }
        let same_zone = [
            ("cf-connecting-ip", FAKE),
            ("cf-worker", "attacker.example"),
        ];
        check_cloudflare(&same_zone, None);
        check_cloudflare(&[("cf-connecting-ip", FAKE), ("cf-worker", "")], None);
    }

    #[test]
    fn pseudo_ipv4_is_replaced_by_the_real_address() {
        let pseudo = ("cf-connecting-ip", "240.16.0.1");
        let v6 = |text| ("cf-connecting-ipv6", text);
        check_cloudflare(&[pseudo, v6("2001:db8::7")], Some("2001:db8::7"));
        check_cloudflare(
            &[("cf-connecting-ip", "255.0.0.1"), v6("2001:db8::7")],
            Some("2001:db8::7"),
        );
        check_cloudflare(&[pseudo], None);
        check_cloudflare(&[pseudo, v6("2001:db8::7"), v6("2001:db8::7")], None);
        for not_it in [
            "203.0.113.7",
            "::ffff:203.0.113.7",
            "",
            "x",
            "2a06:98c0:3600::103",
        ] {
            check_cloudflare(&[pseudo, v6(not_it)], None);
        }
        check_cloudflare(&[("cf-connecting-ip", "239.0.0.1")], Some("239.0.0.1"));
    }

    #[test]
    fn cloudflare_behind_replaces_the_networks() {
        let tunnel = ClientAddress::cloudflare_behind(["127.0.0.1", "::1"]).unwrap();
        let lines = [("cf-connecting-ip", "203.0.113.7")];
        check(&tunnel, "127.0.0.1", &lines, CLIENT);
        check(&tunnel, EDGE, &lines, Some(EDGE));
        assert!(ClientAddress::cloudflare_behind([] as [&str; 0]).is_err());
    }

    #[test]
    fn every_published_network_is_usable() {
        let listed: Vec<_> = CLOUDFLARE
            .split_whitespace()
            .map(|n| network(n).unwrap())
            .collect();
        assert_eq!(listed.len(), 22);
        assert_eq!(ClientAddress::cloudflare().trusted, listed);
    }

    // Configuration.

    #[track_caller]
    fn refused(entries: &[&str]) -> ConfigError {
        let error = ClientAddress::x_forwarded_for(entries).unwrap_err();
        assert_eq!(error.field(), "trusted_proxies");
        error
    }

    #[test]
    fn unusable_proxies_are_refused_with_a_remedy() {
        assert!(refused(&[]).remedy().contains("address of the socket"));
        for junk in [
            "",
            "proxy.internal",
            "10.0.0.0/8, 10.0.0.2",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/255.0.0.0",
            "010.0.0.0/8",
            "10/8",
            "/8",
            "fe80::1%eth0",
            "[::1]",
            "10.0.0.2:80",
        ] {
            assert!(
                refused(&["10.0.0.2", junk])
                    .remedy()
                    .contains("`10.0.0.0/8`"),
                "{junk}"
            );
        }
        for everyone in ["0.0.0.0/0", "::/0", "10.0.0.2/0", "::ffff:0.0.0.0/96"] {
            assert!(
                refused(&[everyone]).problem().contains("every address"),
                "{everyone}"
            );
        }
    }

    #[test]
    fn an_address_inside_a_network_is_refused_with_both_readings() {
        let error = refused(&["10.0.0.2/8"]);
        assert!(error.remedy().contains("`10.0.0.0/8`") && error.remedy().contains("`10.0.0.2`"));
        refused(&["fd00::1/8"]);
    }

    #[test]
    fn addresses_and_networks_are_accepted() {
        let settings = ClientAddress::forwarded([
            " 10.0.0.2 ",
            "192.168.0.0/16",
            "10.1.1.1/32",
            "::1",
            "::ffff:172.16.0.0/108",
            "::ffff:9.9.9.9",
        ])
        .unwrap();
        for peer in [
            "10.0.0.2",
            "192.168.9.9",
            "10.1.1.1",
            "::1",
            "172.31.0.1",
            "9.9.9.9",
        ] {
            assert!(settings.trusts(Some(ip(peer))), "{peer}");
        }
        for peer in ["10.0.0.3", "172.32.0.1", "::2"] {
            assert!(!settings.trusts(Some(ip(peer))), "{peer}");
        }
    }

    #[test]
    fn header_names_are_checked() {
        let refused = |name| {
            let error = ClientAddress::header(name, OURS).unwrap_err();
            assert_eq!(error.field(), "header");
            error.remedy().to_owned()
        };
        assert!(refused("X-Forwarded-For").contains("ClientAddress::x_forwarded_for"));
        assert!(refused("Forwarded").contains("ClientAddress::forwarded"));
        for name in [
            "",
            "X Real IP",
            "x-real-ip:",
            ":authority",
            "x-réal-ip",
            "x\r\ny",
        ] {
            assert!(refused(name).contains("X-Real-IP"), "{name}");
        }
        assert!(ClientAddress::header("x-real-ip", ["::/0"]).is_err());
        assert!(ClientAddress::header("CF-Connecting-IP", OURS).is_ok());
    }

    // Hostile input.

    /// Random bytes, mostly such as mean something in these headers.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn line(&mut self) -> Vec<u8> {
            const PIECES: [&[u8]; 16] = [
                b"for=",
                b"\"",
                b"\\",
                b",",
                b";",
                b"=",
                b"[",
                b"]",
                b":",
                b" ",
                b"10.0.0.3",
                b"203.0.113.7",
                b"2001:db8::7",
                b"240.0.0.1",
                b"%",
                b"\xff",
            ];
            let mut line = Vec::new();
            for _ in 0..self.next() % 12 {
                let dice = self.next();
                match dice % 4 {
                    0 => line.push((dice >> 8) as u8),
                    _ => line.extend_from_slice(PIECES[(dice >> 8) as usize % PIECES.len()]),
                }
            }
            line
        }
    }

    #[test]
    fn no_bytes_panic() {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let cloudflare = ClientAddress::cloudflare_behind(OURS).unwrap();
        for settings in [xff(), forwarded(), real_ip(), cloudflare] {
            let names = may_read(&settings);
            for round in 0..20_000 {
                let values = [noise.line(), noise.line()];
                let name = |i: usize| names[(round + i) % names.len()];
                let head = Head {
                    peer: Some(ip(PROXY)),
                    lines: &[(name(0), &values[0]), (name(1), &values[1])],
                    may_read: &names,
                };
                let _ = settings.resolve(&head);
                // What the proxy writes last is the answer, or, where the visitor broke the
                // header, there is none. It never is anything that the visitor wrote.
                let own: &[u8] = match settings.source {
                    Source::XForwardedFor => b"192.0.2.9",
                    Source::Forwarded => b"for=\"192.0.2.9:80\";proto=http",
                    _ => continue,
                };
                let appended = [&values[1][..], b", ", own].concat();
                for last in [own, &appended] {
                    let lines = [(names[0], &values[0][..]), (names[0], last)];
                    let head = Head {
                        lines: &lines,
                        ..head
                    };
                    let answer = settings.resolve(&head);
                    assert!(
                        answer == Some(ip("192.0.2.9"))
                            || answer.is_none() && matches!(settings.source, Source::Forwarded),
                        "{answer:?} {lines:?}",
                    );
                }
            }
        }
    }

    #[test]
    fn long_headers_are_read_in_linear_time() {
        // A megabyte each, far more than any server lets through. Quadratic work would take hours.
        let proxies = "10.0.0.3,".repeat(110_000) + "10.0.0.3";
        check_xff(&[&proxies], Some("10.0.0.3"));
        check_xff(&[&",".repeat(1_000_000), "203.0.113.7"], CLIENT);
        check_forwarded(
            &[&("\"\\\"\",".repeat(200_000) + "for=203.0.113.7")],
            CLIENT,
        );
        check_forwarded(&[&"for=10.0.0.3,;".repeat(70_000)], None);
        check_forwarded(&[&(";".repeat(1_000_000) + "for=203.0.113.7")], CLIENT);
        check_xff(&[&"[".repeat(1_000_000)], None);
        let lines = vec!["10.0.0.3"; 50_000];
        check_xff(&lines, Some("10.0.0.3"));
    }
}
