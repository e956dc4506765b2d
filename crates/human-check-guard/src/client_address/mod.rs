mod address;
mod cloudflare;
mod forwarded;
mod hops;
mod trusted_proxies;
mod x_forwarded_for;

use std::net::IpAddr;

use human_check_core::ConfigError;

use crate::RequestHead;
use crate::header_name::is_name_byte;
use address::{node, node_with_port, single};
use trusted_proxies::TrustedProxies;

/// The source of the client's address: the socket, or one header that trusted proxies write.
///
/// The default is the socket, and the guard reads no header. Behind a proxy the socket has the
/// proxy's address. Then name the one header that the proxy writes, and the networks that the proxy
/// connects from. The guard reads no other header, because a client can send any header.
///
/// ```
/// use human_check_guard::{ClientAddress, Guard, RoutePolicy};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let client = ClientAddress::x_forwarded_for(["10.0.0.0/8", "fd00::/8"])?;
/// assert!(client.trusts(Some("10.0.0.2".parse().unwrap())));
/// let guard = Guard::builder(turnstile)
///     .with_client_address(client)
///     .build(RoutePolicy::fail_closed("signup"))?;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// # Rules
///
/// - If the request does not come from a trusted proxy, the address is that of the socket.
/// - A list is read from the right, where the nearest proxy wrote. The first address that is not a
///   trusted proxy is the client's. If all are trusted, it is the leftmost address.
/// - The address is *unknown*, which is `None`, if an entry cannot be read before the client's
///   address is found, if a trusted proxy did not send the header, and for a Unix socket, which has
///   no address.
///
/// The guard reads addresses as `192.0.2.7`, `192.0.2.7:443`, `2001:db8::7`, `[2001:db8::7]` and
/// `[2001:db8::7]:443`. It cannot read names, `unknown`, `_hidden` and zones (`fe80::1%eth0`). An
/// IPv4 address inside IPv6 (`::ffff:192.0.2.7`) is treated as the IPv4 address.
///
/// # Trusted proxies
///
/// Each entry is one address or one network: `10.0.0.2`, `10.0.0.0/8`, `fd00::/8`. Every
/// constructor that takes them fails with a [`ConfigError`] on `trusted_proxies`
///
/// - when there are none,
/// - when an entry cannot be read,
/// - when an entry is every address (`0.0.0.0/0`, `::/0`),
/// - when an entry is an address *inside* a network (`10.0.0.2/8`). It could mean one address or
///   16 million, and a wrong guess would trust foreign machines.
#[derive(Clone, Debug, Default)]
pub struct ClientAddress {
    source: Source,
    trusted: TrustedProxies,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Socket,
    XForwardedFor,
    Forwarded,
    Header(String),
    /// A header whose value always ends in a port.
    HeaderWithPort(String),
    Cloudflare,
}

impl ClientAddress {
    /// Creates the source that takes the address of the socket. Use it when no proxy is in front.
    pub fn socket() -> Self {
        Self::default()
    }

    /// Creates the source that reads `X-Forwarded-For`, a list to which each proxy appends the
    /// address that connected to it.
    ///
    /// Every proxy in front must append to the header or overwrite it. A proxy that passes the
    /// header on unchanged passes on what the client wrote.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the [trusted proxies](Self#trusted-proxies) cannot be used.
    pub fn x_forwarded_for<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::XForwardedFor, trusted)
    }

    /// Creates the source that reads the `for` parameters of the header `Forwarded` (RFC 7239).
    ///
    /// A line that ends inside a quoted string makes the address unknown. A client could open a
    /// quote that includes what the proxy appends.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the [trusted proxies](Self#trusted-proxies) cannot be used.
    pub fn forwarded<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::Forwarded, trusted)
    }

    /// Creates the source that reads a header with one address, which the proxy overwrites, such as
    /// `X-Real-IP` or `Fly-Client-IP`.
    ///
    /// A repeated header, and a value that is not one address, make the address unknown.
    ///
    /// `CloudFront-Viewer-Address` always ends in a port, and writes an IPv6 address without brackets
    /// in front of it: `2001:db8::7:46532`. It is read accordingly, and a value without a port makes
    /// the address unknown.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] on `header` when `name` is not a header name, or is the name of a list, such
    /// as `X-Forwarded-For`. [`ConfigError`] when the [trusted proxies](Self#trusted-proxies)
    /// cannot be used.
    pub fn header<S: AsRef<str>>(
        name: &str,
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let name = name.to_ascii_lowercase();
        let remedy = match name.as_str() {
            "x-forwarded-for" => "use `ClientAddress::x_forwarded_for`, since it holds a list",
            "forwarded" => "use `ClientAddress::forwarded`, since it holds a list",
            _ if name.is_empty() || !name.bytes().all(is_name_byte) => {
                "write the bare name of the header, like `X-Real-IP`"
            }
            "cloudfront-viewer-address" => {
                return Self::behind(Source::HeaderWithPort(name), trusted);
            }
            _ => return Self::behind(Source::Header(name), trusted),
        };
        let problem = format!("is {name:?}, not the name of a header with one address");
        Err(ConfigError::new("header", problem, remedy))
    }

    /// Creates the source that reads Cloudflare's `CF-Connecting-IP`, in requests from the networks
    /// that Cloudflare publishes.
    ///
    /// The networks are part of this crate. They change rarely. In requests from a network that
    /// is missing in the list, every visitor has the address of Cloudflare's edge. A network that
    /// Cloudflare has given up would be trusted with its next owner. To set the list yourself, use
    /// [`cloudflare_behind`](Self::cloudflare_behind).
    ///
    /// The guard also reads `CF-Worker` and `CF-Connecting-IPv6`. Cloudflare describes the three
    /// headers at <https://developers.cloudflare.com/fundamentals/reference/http-headers/>. The
    /// guard applies these rules:
    ///
    /// - `2a06:98c0:3600::103` stands for every Worker of another zone. It is not the address of a
    ///   visitor (inferred), so the address is unknown.
    /// - Pseudo IPv4 can overwrite the address with a synthetic one of class E (`240.0.0.0/4`). An
    ///   address of this class is taken for a synthetic one (inferred), and the guard reads
    ///   `CF-Connecting-IPv6` instead.
    /// - `CF-Worker` marks a request that a Worker made. A Worker can choose the address that the
    ///   origin of its own zone receives. Any Cloudflare customer can name your server as an origin
    ///   (inferred), so the address is unknown. If your own Worker is in front of the server, and
    ///   no other zone can reach the server, use [`header`](Self::header) with `CF-Connecting-IP`.
    ///
    /// # Security
    ///
    /// A peer in these networks proves that the request came through the edge of *some* Cloudflare
    /// customer, not through yours. The firewall rules of your zone may not have run. Authenticated
    /// origin pulls, a tunnel or a secret header prevent this.
    pub fn cloudflare() -> Self {
        Self {
            source: Source::Cloudflare,
            trusted: TrustedProxies::cloudflare(),
        }
    }

    /// Creates the source that reads the same headers as [`cloudflare`](Self::cloudflare), in
    /// requests from the given networks: a newer list of Cloudflare's networks, or your own tunnel
    /// or proxy that passes Cloudflare's headers on.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the [trusted proxies](Self#trusted-proxies) cannot be used.
    pub fn cloudflare_behind<S: AsRef<str>>(
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        Self::behind(Source::Cloudflare, trusted)
    }

    fn behind<S: AsRef<str>>(
        source: Source,
        trusted: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let trusted = TrustedProxies::parse(trusted)?;
        Ok(Self { source, trusted })
    }

    /// Returns the client's address. `None` if it is unknown.
    ///
    /// It never panics. The time grows with the length of the header times the number of trusted
    /// networks. A list is read only until the client's address is found.
    pub fn resolve(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        let peer = head.peer()?.to_canonical();
        if !self.trusted.contains(peer) {
            return Some(peer);
        }
        match &self.source {
            Source::Socket => Some(peer),
            Source::XForwardedFor => x_forwarded_for::read(head, &self.trusted),
            Source::Forwarded => forwarded::read(head, &self.trusted),
            Source::Header(name) => single(head, name, node),
            Source::HeaderWithPort(name) => single(head, name, node_with_port),
            Source::Cloudflare => cloudflare::read(head),
        }
    }

    /// Returns whether `peer` is one of the trusted proxies, whose headers the guard believes.
    ///
    /// Always `false` for [`socket`](Self::socket), and for a Unix socket (`None`).
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.trusted.contains(peer.to_canonical()))
    }
}

#[cfg(test)]
mod tests;
