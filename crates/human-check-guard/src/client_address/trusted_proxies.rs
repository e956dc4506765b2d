//! The networks of the proxies whose headers the guard believes.

use std::net::IpAddr;

use human_check_core::ConfigError;
use ipnet::IpNet;

use super::address::number;

/// The networks that trusted proxies connect from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses entries of one address or one network each.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is no entry, or an entry cannot be used.
    pub(super) fn parse<S: AsRef<str>>(
        entries: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let networks = entries
            .into_iter()
            .map(|entry| network(entry.as_ref().trim()))
            .collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            return Err(ConfigError::new(
                "trusted_proxies",
                "is empty, so the guard would never read the header",
                "list the addresses of your proxies, like `10.0.0.2` or `10.0.0.0/8`, \
                 or use the address of the socket when there is no proxy",
            ));
        }
        Ok(Self(networks))
    }

    /// Returns the networks that Cloudflare publishes.
    pub(super) fn cloudflare() -> Self {
        let networks = CLOUDFLARE.split_whitespace().filter_map(parse_network);
        Self(networks.collect())
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses one entry, and refuses one that is ambiguous or that trusts every address.
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
            "which is every address, so that a client could choose its own address",
            "list the networks of your own proxies only, like `10.0.0.0/8`",
        )
    } else if network != whole {
        let remedy = format!("write `{whole}` for the network or `{address}` for the one address");
        refuse("an address inside a network", &remedy)
    } else {
        Ok(network)
    }
}

/// Parses one address or one network.
fn parse_network(entry: &str) -> Option<IpNet> {
    let Some((address, prefix)) = entry.split_once('/') else {
        return entry
            .parse()
            .ok()
            .map(|ip: IpAddr| ip.to_canonical().into());
    };
    let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, number(prefix)?);
    // Peers and hops are compared in canonical form, in which `::ffff:10.0.0.0/104` is
    // `10.0.0.0/8`.
    match address.to_canonical() {
        mapped if mapped != address && prefix >= 96 => IpNet::new(mapped, prefix - 96).ok(),
        _ => IpNet::new(address, prefix).ok(),
    }
}

/// The networks published at <https://www.cloudflare.com/ips-v4> and `…/ips-v6`.
pub(super) const CLOUDFLARE: &str = "
    173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18
    108.162.192.0/18 190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17
    162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 131.0.72.0/22
    2400:cb00::/32 2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32
    2a06:98c0::/29 2c0f:f248::/32";
