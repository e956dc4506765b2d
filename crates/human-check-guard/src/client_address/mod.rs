mod address;
mod cloudflare;
mod forwarded;
mod hops;
mod trusted_proxies;
mod x_forwarded_for;

use std::net::IpAddr;

use human_check_core::ConfigError;

use crate::RequestHead;
use crate::header_name::is_token;
use address::single;
use trusted_proxies::TrustedProxies;

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
    trusted: TrustedProxies,
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
            trusted: TrustedProxies::cloudflare(),
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
        let trusted = TrustedProxies::parse(trusted)?;
        Ok(Self { source, trusted })
    }

    /// The visitor's address; `None` when it is unknown.
    ///
    /// Never panics. The work grows with the header's length times the number of networks, and a
    /// list is read only until the visitor is found.
    pub fn resolve(&self, head: &dyn RequestHead) -> Option<IpAddr> {
        let peer = head.peer()?.to_canonical();
        if !self.trusted.contains(peer) {
            return Some(peer);
        }
        match &self.source {
            Source::Socket => Some(peer),
            Source::XForwardedFor => x_forwarded_for::read(head, &self.trusted),
            Source::Forwarded => forwarded::read(head, &self.trusted),
            Source::Header(name) => single(head, name),
            Source::Cloudflare => cloudflare::read(head),
        }
    }

    /// Whether this peer is one of the configured proxies, whose headers may be believed.
    ///
    /// Always false for [`socket`](Self::socket) and for a Unix socket (`None`).
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|peer| self.trusted.contains(peer.to_canonical()))
    }
}

#[cfg(test)]
mod tests;
