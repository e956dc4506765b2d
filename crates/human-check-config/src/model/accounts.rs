use std::time::Duration;

use serde::Deserialize;

use crate::duration;

/// The accounts of one host or one country, in the place of those of the route.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table, such as { use = \"main\" }")]
pub(crate) struct AccountsTable {
    /// The account that judges.
    #[serde(rename = "use")]
    pub(crate) account: String,
    /// The accounts that visitors meet while the first one is down, in order. Default: none.
    #[serde(default)]
    pub(crate) fallback: Vec<String>,
}

/// The stronger challenge for a visitor whose score is slightly too low.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "a table, such as { to = \"box\", floor = 0.3 }"
)]
pub(crate) struct StepUpTable {
    /// The account with the stronger challenge.
    pub(crate) to: String,
    /// The lowest score that leads to it, from 0 to 1, where 1 is human. Below it the visitor is
    /// refused.
    pub(crate) floor: f64,
}

/// A trouble of an account that leads to a fallback, apart from being down.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trouble {
    /// The provider declines to verify, as with an exhausted quota.
    Declined,
    /// Most verifications fail and none passes, after a time in which tokens passed steadily.
    Failures,
    /// The provider replies with status 429.
    RateLimited,
}

/// What a browser's report that a widget failed leads to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnWidgetFailure {
    /// The browser is shown the next account, within limits.
    Fallback,
    /// The report has no effect.
    #[default]
    Ignore,
}

/// Which clearances of other routes count, and for how much.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "a table, such as { from = [\"signup\"], ttl = \"10m\", max_requests = 20 }"
)]
pub(crate) struct ClearanceTable {
    /// The routes whose human verdicts count.
    pub(crate) from: Vec<String>,
    /// How long one counts.
    #[serde(deserialize_with = "duration::required")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub(crate) ttl: Duration,
    /// For how many requests one counts.
    pub(crate) max_requests: u32,
}

/// A demand of a route that an account may be exempt from, under the name of its key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Demand {
    /// `action`.
    Action,
    /// `hostnames` and `apps`.
    Hostnames,
    /// `max_age`.
    MaxAge,
    /// `min_score`.
    MinScore,
}

impl Demand {
    /// Returns the key of the demand.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Hostnames => "hostnames",
            Self::MaxAge => "max_age",
            Self::MinScore => "min_score",
        }
    }
}
