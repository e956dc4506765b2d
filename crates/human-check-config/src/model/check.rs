use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::duration;

/// Which account judges, and which ones beside it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckTable {
    /// The account that judges.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// The account that judges when that one is unavailable. Pages show both widgets.
    pub(crate) failover: Option<String>,
    /// Fail over, too, when the first provider declines to verify. Risk: an attacker who exhausts its
    /// quota can cause this.
    #[serde(default)]
    pub(crate) failover_when_declined: bool,
    /// An account whose tokens are still accepted.
    pub(crate) dual_accept: Option<DualAcceptTable>,
    /// An account that judges without effect, for a comparison.
    pub(crate) shadow: Option<ShadowTable>,
    /// How long a decision may take, failover included. Default "3s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) timeout: Option<Duration>,
}

impl CheckTable {
    /// The names of all accounts that have a role.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        let accept = self.dual_accept.as_ref().map(|accept| &accept.account);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.account);
        let others = [self.failover.as_ref(), accept, shadow];
        let all = std::iter::once(&self.account).chain(others.into_iter().flatten());
        all.map(String::as_str).collect()
    }
}

/// An account whose tokens are still accepted beside those of the one in use.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DualAcceptTable {
    /// The account.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// When that ends: a date (its first moment, UTC) or a date and time with an offset.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) sunset: Option<Sunset>,
    /// Show its widget on new pages, too. Both tokens must then hold. Default false.
    #[serde(default)]
    pub(crate) show: bool,
}

/// A date, or a moment, as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Sunset(pub(crate) String);

impl fmt::Display for Sunset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sunset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A date of TOML, or a text where the syntax has no dates.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Datetime(date) => Ok(Self(date.to_string())),
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom(
                "is no date; write one, such as 2027-01-31",
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
    /// The share of visitors that is compared, from 0 to 1. Default 1.
    pub(crate) sample: Option<f64>,
    /// How many comparisons may be in flight. Default 64.
    pub(crate) max_in_flight: Option<usize>,
    /// How long the second provider may take. Default "5s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) timeout: Option<Duration>,
}
