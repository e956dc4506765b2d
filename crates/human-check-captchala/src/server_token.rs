use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use human_check_core::{CheckError, ConfigError, ErrorKind};
use human_check_http::Reply;
use serde_json::{Map, Value};

use crate::validate::Envelope;

/// Which server token to mint (section 9.1).
#[derive(Clone, Debug)]
pub struct ServerTokenRequest {
    action: String,
    client_ip: Option<IpAddr>,
    uid: Option<String>,
    ttl: Option<Duration>,
    max_uses: Option<u32>,
}

impl ServerTokenRequest {
    /// A token for one action. What the visitor then solves carries that action.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the action is blank.
    pub fn new(action: impl Into<String>) -> Result<Self, ConfigError> {
        let action = action.into();
        if action.trim().is_empty() {
            return Err(ConfigError::new(
                "action",
                "is empty",
                "name what the visitor is doing, like `login`",
            ));
        }
        Ok(Self {
            action,
            client_ip: None,
            uid: None,
            ttl: None,
            max_uses: None,
        })
    }

    /// Ties it to a user. The verdict then carries the value as its binding.
    #[must_use]
    pub fn with_uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Ties it to an address. Browsers may solve over IPv6 and submit over IPv4, so this refuses
    /// some honest visitors.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// Asks for a lifetime, in whole seconds. The service may give less; see [`ServerToken::expires_in`].
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How many challenges it may start. Take three or more: the widget starts one ahead.
    #[must_use]
    pub fn with_max_uses(mut self, uses: u32) -> Self {
        self.max_uses = Some(uses);
        self
    }

    pub(crate) fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("action".into(), self.action.as_str().into());
        if let Some(ip) = self.client_ip {
            body.insert("binding_ip".into(), ip.to_string().into());
        }
        if let Some(uid) = &self.uid {
            body.insert("bind_uid".into(), uid.as_str().into());
        }
        if let Some(ttl) = self.ttl.filter(|ttl| ttl.as_secs() > 0) {
            body.insert("ttl".into(), ttl.as_secs().into());
        }
        if let Some(uses) = self.max_uses.filter(|uses| *uses > 0) {
            body.insert("max_uses".into(), uses.into());
        }
        body
    }
}

/// A server token, to be given to the page as the widget's `serverToken`. `Debug` hides it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerToken {
    /// The token itself, beginning with `sct_`.
    pub token: String,
    /// How long it lives, where the service said so. May be less than was asked for.
    pub expires_in: Option<Duration>,
    /// When it was made, by the service's clock.
    pub issued_at: Option<SystemTime>,
}

impl fmt::Debug for ServerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerToken")
            .field("token", &"[redacted]")
            .field("expires_in", &self.expires_in)
            .field("issued_at", &self.issued_at)
            .finish()
    }
}

/// A server token for each challenge, as `{"server_token":"sct_..."}`, good for three uses since the
/// widget starts one ahead (section 9.1). A binding becomes its uid. It is tied to no address; see
/// [`ServerTokenRequest::with_client_ip`] for why.
///
/// A request must name an action, without which the service issues nothing.

/// Section 9.2.
pub(crate) fn read(reply: &Reply) -> Result<ServerToken, CheckError> {
    let envelope = Envelope::read(reply)?;
    if let Some(error) = envelope.owner_error() {
        return Err(error);
    }
    if envelope.code != 0 || reply.status() != 200 {
        return Err(envelope.error(ErrorKind::Misconfigured, "request-rejected"));
    }
    let seconds = |name| {
        envelope
            .data
            .get(name)
            .and_then(Value::as_u64)
            .map(Duration::from_secs)
    };
    match envelope.data.get("server_token").and_then(Value::as_str) {
        Some(token) if !token.is_empty() => Ok(ServerToken {
            token: token.to_owned(),
            expires_in: seconds("expires_in"),
            issued_at: seconds("issued_at").and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at)),
        }),
        _ => Err(envelope.error(ErrorKind::Protocol, "no-server-token")),
    }
}
