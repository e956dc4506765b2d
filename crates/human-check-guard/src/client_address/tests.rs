use super::trusted_proxies::CLOUDFLARE;
use super::*;

/// A request with a peer and header lines. Reading a header that is not in `may_read` panics.
struct Head<'a> {
    peer: Option<IpAddr>,
    lines: &'a [(&'a str, &'a [u8])],
    may_read: &'a [&'a str],
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        panic!("the method is not needed")
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {
        panic!("only single headers are read")
    }

    fn header(&self, name: &str, line: &mut dyn FnMut(&[u8])) {
        assert!(self.may_read.contains(&name), "read `{name}`");
        for (_, value) in self.lines.iter().filter(|(n, _)| *n == name) {
            line(value);
        }
    }
}

const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];
const PROXY: &str = "10.0.0.2";
const EDGE: &str = "172.68.1.1";
const CLIENT: Option<&str> = Some("203.0.113.7");
const FAKE: &str = "198.51.100.66";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The headers that may be read with these settings. The test repeats them independently of the
/// code.
fn may_read(settings: &ClientAddress) -> Vec<&str> {
    match &settings.source {
        Source::Socket => vec![],
        Source::XForwardedFor => vec!["x-forwarded-for"],
        Source::Forwarded => vec!["forwarded"],
        Source::Header(name) | Source::HeaderWithPort(name) => vec![name],
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
    ClientAddress::x_forwarded_for(TRUSTED).unwrap()
}

fn forwarded() -> ClientAddress {
    ClientAddress::forwarded(TRUSTED).unwrap()
}

fn real_ip() -> ClientAddress {
    ClientAddress::header("X-Real-IP", TRUSTED).unwrap()
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

#[test]
fn a_header_whose_values_end_in_a_port_is_read_without_it() {
    let cloudfront = ClientAddress::header("CloudFront-Viewer-Address", TRUSTED).unwrap();
    for (value, want) in [
        ("203.0.113.7:46532", CLIENT),
        ("2001:db8:1:2:3:4:5:6:46532", Some("2001:db8:1:2:3:4:5:6")),
        // As an address alone, the port would be its last group.
        ("2001:db8::7:443", Some("2001:db8::7")),
        ("[2001:db8::7]:443", Some("2001:db8::7")),
        ("::ffff:203.0.113.7:1", CLIENT),
        ("203.0.113.7", None),
        ("203.0.113.7:", None),
        ("203.0.113.7:65536", None),
        ("203.0.113.7:+80", None),
        ("2001:db8::7:x", None),
        ("2001:db8::7:99999", None),
        (":443", None),
        ("", None),
    ] {
        check(
            &cloudfront,
            PROXY,
            &[("cloudfront-viewer-address", value)],
            want,
        );
    }
    let twice = [("cloudfront-viewer-address", "203.0.113.7:1"); 2];
    check(&cloudfront, PROXY, &twice, None);
    check(&cloudfront, "192.0.2.9", &twice, Some("192.0.2.9"));
}

// Attacks: the trusted proxy is 10.0.0.2, and the real client is 203.0.113.7.

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
        &ClientAddress::header("fly-client-ip", TRUSTED).unwrap(),
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

// Other rules.

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
    let resolve = |value: &[u8]| {
        settings.resolve(&Head {
            peer: Some(ip(PROXY)),
            lines: &[("x-forwarded-for", value)],
            may_read: &["x-forwarded-for"],
        })
    };
    assert_eq!(resolve(b"\xff\xfe, 203.0.113.7"), CLIENT.map(ip));
    assert_eq!(resolve(b"203.0.113.7, \xff"), None);
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
    // Addresses of class E have a special meaning with Cloudflare only.
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
    let listed = CLOUDFLARE.split_whitespace();
    assert_eq!(listed.clone().count(), 22);
    let trusted = TrustedProxies::parse(listed).unwrap();
    assert_eq!(ClientAddress::cloudflare().trusted, trusted);
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
        let error = ClientAddress::header(name, TRUSTED).unwrap_err();
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
    assert!(ClientAddress::header("CF-Connecting-IP", TRUSTED).is_ok());
}

// Hostile input.

/// Makes random bytes, most of which have a meaning in these headers.
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
    let cloudflare = ClientAddress::cloudflare_behind(TRUSTED).unwrap();
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
            // The result is what the proxy writes last, or `None` where the client broke the
            // header. It is never an address that the client wrote.
            let by_proxy: &[u8] = match settings.source {
                Source::XForwardedFor => b"192.0.2.9",
                Source::Forwarded => b"for=\"192.0.2.9:80\";proto=http",
                _ => continue,
            };
            let appended = [&values[1][..], b", ", by_proxy].concat();
            for last in [by_proxy, &appended] {
                let lines = [(names[0], &values[0][..]), (names[0], last)];
                let head = Head {
                    lines: &lines,
                    ..head
                };
                let address = settings.resolve(&head);
                assert!(
                    address == Some(ip("192.0.2.9"))
                        || address.is_none() && matches!(settings.source, Source::Forwarded),
                    "{address:?} {lines:?}",
                );
            }
        }
    }
}

#[test]
fn long_headers_are_read_in_linear_time() {
    // A megabyte each, far more than any server accepts. Quadratic time would be hours.
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
