use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::{ProxyRef, SecretRef, Trouble};
use crate::duration;

/// Which account judges, and which other accounts have a role.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckTable {
    /// The account that judges.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// The accounts that visitors meet while the first one is down, in order. A page shows one of them
    /// at a time. Default: none.
    #[serde(default)]
    pub(crate) fallback: Vec<String>,
    /// Troubles that lead to a fallback, apart from an account that is down: declined, failures,
    /// rate-limited. Risk: a client can cause each of them. Default: none.
    #[serde(default)]
    pub(crate) fallback_on: Vec<Trouble>,
    /// The secrets that sign offers and clearances, 32 bytes or more each, the same on all machines.
    /// The first signs, and all verify. Required with a store on a server. Default: a random one of
    /// this process.
    #[serde(default)]
    pub(crate) offer_keys: Vec<SecretRef>,
    /// The other origins whose pages may read the options of routes, such as `https://shop.example`.
    /// Default: none.
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    /// The account that judges while the first one is unavailable. Pages show both widgets, and send
    /// two tokens.
    pub(crate) failover: Option<String>,
    /// Whether to fail over, too, when the first provider declines to verify. Risk: an attacker who
    /// exhausts the first account's quota chooses the second provider. Default false.
    #[serde(default)]
    pub(crate) failover_when_declined: bool,
    /// An account whose tokens are still accepted.
    pub(crate) dual_accept: Option<DualAcceptTable>,
    /// An account that judges without effect, for a comparison.
    pub(crate) shadow: Option<ShadowTable>,
    /// The egress proxy for calls to providers: its URL, or where a URL with a password is. Default:
    /// none; the variables of the system are not read.
    pub(crate) proxy: Option<ProxyRef>,
    /// How long a decision may take, failover included. Default "3s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) timeout: Option<Duration>,
}

impl CheckTable {
    /// Returns the names of all accounts that have a role.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        let accept = self.dual_accept.as_ref().map(|accept| &accept.account);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.account);
        let others = [self.failover.as_ref(), accept, shadow];
        let others = others.into_iter().flatten().chain(&self.fallback);
        let all = std::iter::once(&self.account).chain(others);
        all.map(String::as_str).collect()
    }
}

/// An account whose tokens are still accepted beside those of the account that judges.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DualAcceptTable {
    /// The account.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// When the program stops accepting its tokens: a date (its first moment, UTC), or a date and
    /// time with an offset. Default: never.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) sunset: Option<Sunset>,
    /// Whether new pages show its widget, too. Where both tokens arrive, both must hold. Default
    /// false.
    #[serde(default)]
    pub(crate) show: bool,
}

/// A date, or a date and time, as the configuration writes it.
#[derive(Clone, Debug)]
pub(crate) struct Sunset(pub(crate) String);

impl fmt::Display for Sunset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sunset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // TOML has dates; variables and other syntaxes write a text.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Datetime(date) => Ok(Self(date.to_string())),
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom(
                "is not a date; write one, such as 2027-01-31",
            )),
        }
    }
}

/// An account that judges without effect. Pages show its widget, too.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowTable {
    /// The account.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// The file that comparisons are appended to, one JSON object a line.
    pub(crate) file: String,
    /// The share of visitors that is compared, by chance, from 0 to 1. Default 1.
    pub(crate) sample: Option<f64>,
    /// How many comparisons may be in flight. Those beyond are dropped. Default 64.
    pub(crate) max_in_flight: Option<usize>,
    /// How long a comparison may take. Default "5s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) timeout: Option<Duration>,
}
