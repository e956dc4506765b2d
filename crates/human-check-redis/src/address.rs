use human_check_core::ConfigError;
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// Where the entries of the stores are.
#[derive(Clone)]
pub(crate) enum Address {
    /// One server.
    Server(ConnectionInfo),
    /// The primary that Sentinel names.
    Sentinel(SentinelAddress),
    /// A cluster: the nodes that are asked first.
    Cluster(Vec<ConnectionInfo>),
}

/// Sentinels, and how to log in at the server that they name.
#[derive(Clone)]
pub(crate) struct SentinelAddress {
    /// The sentinels, with their own user and password.
    pub(crate) sentinels: Vec<ConnectionInfo>,
    /// The name of the primary in the configuration of the sentinels.
    pub(crate) primary: String,
    /// The user, the password and the database of the servers. Its host means nothing.
    pub(crate) server: ConnectionInfo,
}

/// How many hosts a URL may name.
const MAX_HOSTS: usize = 64;

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for another form. It shows no part of the URL, which may hold a password.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        // The only fragment that the Redis client knows, `#insecure`, switches verification off.
        if url.contains('#') {
            return Err(ConfigError::new(
                "url",
                "holds a fragment (`#…`); certificates are always verified",
                "remove it, write a `#` in a password as `%23`, and set a private authority with `with_root_certificates`",
            ));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(invalid)?;
        // A `/` or `?` in a password ends the host too early, and the `@` before the host is in what
        // follows. The Redis client would show a part of the password as host, port or database.
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest[end..].contains('@') {
            return Err(ConfigError::new(
                "url",
                "has an `@` behind the host, as with a password that is not encoded",
                "percent-encode the special characters of user and password, such as `/` as %2F, `?` as %3F, `#` as %23 and `@` as %40",
            ));
        }
        let scheme = scheme.replacen("valkey", "redis", 1);
        let (scheme, kind) = scheme.split_once('-').unwrap_or((&scheme, ""));
        // `valkeys` is `rediss` by now.
        if !matches!(scheme, "redis" | "rediss") {
            return Err(invalid());
        }
        match kind {
            "" => Ok(Self::Server(server(url)?)),
            "cluster" => cluster(scheme, rest),
            "sentinel" => sentinel(scheme, rest),
            _ => Err(invalid()),
        }
    }

    /// Returns hosts and ports, without user and password.
    pub(crate) fn shown(&self) -> String {
        let join = |infos: &[ConnectionInfo]| {
            let shown = infos.iter().map(|info| info.addr().to_string());
            shown.collect::<Vec<_>>().join(",")
        };
        match self {
            Self::Server(info) => info.addr().to_string(),
            Self::Cluster(nodes) => join(nodes),
            Self::Sentinel(of) => format!("{} at {}", of.primary, join(&of.sentinels)),
        }
    }

    /// Returns whether the connections use TLS.
    pub(crate) fn is_tls(&self) -> bool {
        let any = match self {
            Self::Server(info) => Some(info),
            Self::Sentinel(of) => Some(&of.server),
            Self::Cluster(nodes) => nodes.first(),
        };
        any.is_some_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
    }
}

/// Reads `redis://user:password@host:port/db`.
fn server(url: &str) -> Result<ConnectionInfo, ConfigError> {
    let info = url.into_connection_info().map_err(|_| invalid())?;
    if !matches!(
        info.addr(),
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. }
    ) {
        return Err(invalid());
    }
    // RESP2 needs no handshake, and the stores use nothing that RESP3 adds.
    let redis = info.redis_settings().clone();
    let redis = redis
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name();
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

/// Reads `redis-cluster://user:password@host:port,host:port`, without the scheme.
fn cluster(scheme: &str, rest: &str) -> Result<Address, ConfigError> {
    let parts = Parts::of(rest)?;
    if !parts.path.is_empty() || !parts.query.is_empty() {
        return Err(ConfigError::new(
            "url",
            "names a database or a setting, and a cluster has neither",
            "write redis-cluster://user:password@host:port,host:port",
        ));
    }
    let nodes = parts.hosts(6379);
    let nodes = nodes.map(|host| server(&format!("{scheme}://{}{host}", parts.login)));
    Ok(Address::Cluster(nodes.collect::<Result<_, _>>()?))
}

/// Reads `redis-sentinel://user:password@host:port,host:port/db?primary=name`, without the scheme.
fn sentinel(scheme: &str, rest: &str) -> Result<Address, ConfigError> {
    const FORM: &str =
        "write redis-sentinel://user:password@host:port,host:port?primary=name-of-the-primary";
    let parts = Parts::of(rest)?;
    let (mut primary, mut user, mut password) = (None, "", "");
    for setting in parts.query.split('&').filter(|setting| !setting.is_empty()) {
        match setting.split_once('=') {
            Some(("primary", name)) => primary = Some(name).filter(|name| !name.is_empty()),
            Some(("sentinel_user", name)) => user = name,
            Some(("sentinel_password", text)) => password = text,
            _ => {
                return Err(ConfigError::new(
                    "url",
                    "holds a setting other than `primary`, `sentinel_user` and `sentinel_password`",
                    FORM,
                ));
            }
        }
    }
    // Each would end the host of the URL that is made of it.
    if [user, password]
        .iter()
        .any(|text| text.contains(['/', '?', '@', ':']))
    {
        return Err(ConfigError::new(
            "url",
            "has a `sentinel_user` or `sentinel_password` with a special character",
            "percent-encode it, such as `/` as %2F, `?` as %3F, `@` as %40 and `:` as %3A",
        ));
    }
    let primary = primary.ok_or_else(|| {
        ConfigError::new(
            "url",
            "does not say which primary the sentinels are asked for",
            FORM,
        )
    })?;
    let login = match (user, password) {
        ("", "") => String::new(),
        (user, password) => format!("{user}:{password}@"),
    };
    let sentinels = parts.hosts(26379);
    let sentinels = sentinels.map(|host| server(&format!("{scheme}://{login}{host}")));
    Ok(Address::Sentinel(SentinelAddress {
        sentinels: sentinels.collect::<Result<_, _>>()?,
        primary: primary.to_owned(),
        server: server(&format!("{scheme}://{}host{}", parts.login, parts.path))?,
    }))
}

/// The parts of a URL with several hosts.
struct Parts<'a> {
    /// User and password with the `@`, or nothing.
    login: &'a str,
    hosts: &'a str,
    /// The database with the `/`, or nothing.
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(rest: &'a str) -> Result<Self, ConfigError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (login, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        let parts = Self {
            login,
            hosts,
            path: path.trim_end_matches('/'),
            query,
        };
        let count = hosts.split(',').count();
        // One login stands before the first host and is that of all.
        let has_more_logins = login.matches('@').count() > 1;
        match hosts.split(',').any(str::is_empty) || count > MAX_HOSTS || has_more_logins {
            true => Err(invalid()),
            false => Ok(parts),
        }
    }

    /// Returns each host with a port.
    fn hosts(&self, default_port: u16) -> impl Iterator<Item = String> {
        self.hosts.split(',').map(move |host| {
            // The last colon of an IPv6 address is inside of its brackets.
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.contains(']'));
            match has_port {
                true => host.to_owned(),
                false => format!("{host}:{default_port}"),
            }
        })
    }
}

/// Returns the error for a URL of another form.
pub(crate) fn invalid() -> ConfigError {
    let (problem, remedy) = if cfg!(feature = "rustls") {
        (
            "is not the address of a Redis server",
            "write redis://user:password@host:port/db, redis-cluster://… or redis-sentinel://…, or rediss for TLS, with special characters percent-encoded",
        )
    } else {
        (
            "is not the address of a Redis server, or requires TLS",
            "write redis://user:password@host:port/db, redis-cluster://… or redis-sentinel://…, with special characters percent-encoded; rediss needs the feature `rustls`",
        )
    };
    ConfigError::new("url", problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Address::parse(url).unwrap().shown()
    }

    #[test]
    fn a_url_names_one_server_a_cluster_or_sentinels() {
        assert_eq!(shown("redis://ada:pw@a:1/3"), "a:1");
        assert_eq!(shown("valkey://a"), "a:6379");
        assert_eq!(
            shown("redis-cluster://ada:pw@a:1,b,[::1]:7"),
            "a:1,b:6379,::1:7"
        );
        assert_eq!(
            shown("valkey-sentinel://ada:pw@a,b:1/2?primary=mymaster&sentinel_password=pw"),
            "mymaster at a:26379,b:1"
        );
    }

    #[test]
    fn the_login_goes_to_every_server_and_the_own_login_to_sentinels() {
        let Address::Cluster(nodes) = Address::parse("redis-cluster://ada:p%40w@a,b").unwrap()
        else {
            panic!("a cluster");
        };
        for node in &nodes {
            assert_eq!(node.redis_settings().username(), Some("ada"));
            assert_eq!(node.redis_settings().password(), Some("p@w"));
        }
        let url = "redis-sentinel://ada:pw@a,b/4?primary=m&sentinel_user=eve&sentinel_password=s";
        let Address::Sentinel(of) = Address::parse(url).unwrap() else {
            panic!("sentinels");
        };
        assert_eq!(of.server.redis_settings().username(), Some("ada"));
        assert_eq!(of.server.redis_settings().db(), 4);
        for sentinel in &of.sentinels {
            assert_eq!(sentinel.redis_settings().username(), Some("eve"));
            assert_eq!(sentinel.redis_settings().password(), Some("s"));
        }
    }

    #[test]
    fn another_form_is_refused_and_shown_nowhere() {
        for url in [
            "hunter2",
            "http://:hunter2@localhost",
            "redis://:hunter2@localhost:port",
            "redis://:hunter2@localhost/db",
            "unix:///hunter2",
            "redis+unix:///hunter2",
            "redis://:12/hunter2@a",
            "redis://:12?hunter2@a",
            "redis-cluster://:hunter2@a,,b",
            "redis-cluster://:12/hunter2@a",
            "redis-sentinel://a?primary=m&sentinel_password=hunter2@b",
            "redis-sentinel://a?primary=m&sentinel_user=eve&sentinel_password=12?hunter2",
            "redis-cluster://u:hunter2@a,u:hunter2@b",
            "redis-cluster://:hunter2@a/1",
            "redis-cluster://:hunter2@",
            "redis-hunter2://a",
            "redis-sentinel://:hunter2@a",
            "redis-sentinel://:hunter2@a?primary=",
            "redis-sentinel://:hunter2@a?master=m",
            "redis-sentinel://:hunter2@a/x?primary=m",
            "rediss://:hunter2@localhost/#insecure",
            "rediss-cluster://:hunter2@localhost/#insecure",
        ] {
            let error = Address::parse(url).err().expect(url);
            assert_eq!(error.field(), "url", "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
