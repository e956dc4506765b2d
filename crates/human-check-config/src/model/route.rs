use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::{
    AccountsTable, CheckTable, ClearanceTable, Demand, OnWidgetFailure, OutagePolicy, StepUpTable,
    Trouble,
};
use crate::duration;

/// What a route demands of a request, and what it does without a verdict.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTable {
    /// The account that judges. Default: that of `check.use`.
    #[serde(rename = "use")]
    pub(crate) account: Option<String>,
    /// The accounts that visitors meet while the first one is down, in order. Default: those of
    /// `check.fallback`, or none for a route with an account of its own.
    pub(crate) fallback: Option<Vec<String>>,
    /// Troubles that lead to a fallback, apart from an account that is down. Default: those of
    /// `check.fallback_on`.
    pub(crate) fallback_on: Option<Vec<Trouble>>,
    /// The accounts for requests to a host, by its name. Each needs `hostnames` of its own.
    #[serde(default)]
    pub(crate) by_host: BTreeMap<String, AccountsTable>,
    /// The accounts for clients in a country, by its two-letter code. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) by_country: BTreeMap<String, AccountsTable>,
    /// The stronger challenge for a visitor whose score is slightly too low. Needs a replay store.
    pub(crate) step_up: Option<StepUpTable>,
    /// What a browser's report that a widget failed leads to: "ignore" (default) or "fallback". Risk:
    /// a client can make such a report. Needs a replay store.
    #[serde(default)]
    pub(crate) on_widget_failure: OnWidgetFailure,
    /// The clearances of other routes that count here in the place of a token.
    pub(crate) accept_clearance: Option<ClearanceTable>,
    /// The demands of the route that an account is exempt from, by its name. The check is weaker
    /// while that account judges.
    #[serde(default)]
    pub(crate) without: BTreeMap<String, Vec<Demand>>,
    /// What happens while the provider is unavailable: "fail-closed" (default) or "fail-open".
    #[serde(default)]
    pub(crate) on_outage: OutagePolicy,
    /// What happens while the provider declines to verify, as with an exhausted quota. Risk of
    /// "fail-open": an attacker who exhausts the quota can cause this state. Default "fail-closed".
    #[serde(default)]
    pub(crate) on_declined: OutagePolicy,
    /// What happens while the replay store fails. Default "fail-closed".
    #[serde(default)]
    pub(crate) on_store_unavailable: OutagePolicy,
    /// The action that the challenge must have been solved for. Widgets declare it. Default: none.
    pub(crate) action: Option<String>,
    /// The hosts that may show the challenge. Default: every host.
    pub(crate) hostnames: Option<Vec<String>>,
    /// The apps that may show the challenge. With `hostnames`, one of both is enough. Default: every
    /// app, unless `hostnames` is set.
    pub(crate) apps: Option<Vec<String>>,
    /// The lowest score that passes, from 0 to 1, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// How old a solved challenge may be. 60 seconds for clocks that differ come on top.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) max_age: Option<Duration>,
    /// Whether the route only decides and logs, and lets requests through, unverified, that it
    /// would have refused. Default false.
    #[serde(default)]
    pub(crate) observe_only: bool,
    /// When to demand a challenge. Default: always.
    pub(crate) challenge: Option<ChallengeTable>,
}

impl RouteTable {
    /// Returns the name of the account that judges by default.
    pub(crate) fn primary<'m>(&'m self, check: &'m CheckTable) -> &'m str {
        self.account.as_deref().unwrap_or(&check.account)
    }
}

/// When a route demands a challenge. Any of the rules is enough.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ChallengeTable {
    /// How many requests without a token an address may make within the window before it is
    /// challenged.
    pub(crate) after_requests: Option<u32>,
    /// How long the window is, from the first request. Default "10m".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) window: Option<Duration>,
    /// Texts of which the user agent holds one, in any case. A request without a user agent is
    /// challenged, too.
    #[serde(default)]
    pub(crate) user_agent_contains: Vec<String>,
    /// Countries that are challenged, as two-letter codes. Unknown countries are challenged, too.
    /// Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_in: Vec<String>,
    /// Countries that are not challenged, as two-letter codes. All others are challenged, and
    /// unknown ones. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_outside: Vec<String>,
}
