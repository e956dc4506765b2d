use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use human_check_core::{CheckError, ConfigError, ErrorKind};
use human_check_http::Reply;
use serde_json::{Map, Value};

use crate::validate::Envelope;

/// The properties of a server token to issue, for
/// [`CaptchaLa::issue_server_token`](crate::CaptchaLa::issue_server_token).
///
/// A server token ties the page's challenge to an action, and to a user or an address.
///
/// ```
/// use std::time::Duration;
///
/// use human_check_captchala::ServerTokenRequest;
///
/// let request = ServerTokenRequest::new("login")?
///     .with_uid("user-42")
///     .with_ttl(Duration::from_secs(120))
///     .with_max_uses(3);
/// # let _ = request;
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
///
/// See docs/providers/captchala.md#server-tokens.
#[derive(Clone, Debug)]
pub struct ServerTokenRequest {
    action: String,
    client_ip: Option<IpAddr>,
    uid: Option<String>,
    ttl: Option<Duration>,
    max_uses: Option<u32>,
}

impl ServerTokenRequest {
    /// Creates a request for one action, such as `login`. The token that the visitor gets for
    /// solving the challenge carries that action, so expect it at the route.
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
                "name what the visitor does on the page, such as `login`",
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

    /// Sets the user that the server token is tied to. Default: none. The verdict carries the value
    /// as its binding, so expect it at the route.
    #[must_use]
    pub fn with_uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Sets the only address that may solve the challenge (observed). Default: any address.
    ///
    /// Some browsers solve over IPv6 and submit over IPv4, so this refuses some honest visitors.
    #[must_use]
    pub fn with_client_ip(mut self, ip: IpAddr) -> Self {
        self.client_ip = Some(ip);
        self
    }

    /// Sets the ttl of the server token, in whole seconds. Default: the provider's, 300 seconds.
    ///
    /// The provider may give less; see [`ServerToken::expires_in`]. Less than a second counts as
    /// not set.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how many challenges the server token may start. Default: the provider's. Zero counts as
    /// not set.
    ///
    /// Use three or more, because the widget starts one challenge ahead (observed).
    #[must_use]
    pub fn with_max_uses(mut self, uses: u32) -> Self {
        self.max_uses = Some(uses);
        self
    }

    /// Builds the body of the issue call.
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

/// A server token. Give it to the page's widget as its data `server-token`. `Debug` hides it.
///
/// See docs/providers/captchala.md#server-tokens.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerToken {
    /// The text of the token. It begins with `sct_`.
    pub token: String,
    /// The ttl of the token, where the provider states it. It may be less than was requested.
    pub expires_in: Option<Duration>,
    /// When the token was issued, by the provider's clock, where the provider states it.
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

/// Reads the reply of the issue call. See docs/providers/captchala.md#server-tokens.
pub(crate) fn read(reply: &Reply) -> Result<ServerToken, CheckError> {
    let envelope = Envelope::read(reply)?;
    if let Some(error) = envelope.operator_or_service_error() {
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
