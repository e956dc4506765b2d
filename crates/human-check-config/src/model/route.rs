use std::time::Duration;

use serde::Deserialize;

use super::OutagePolicy;
use crate::duration;

/// What one kind of route demands.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTable {
    /// What happens while the provider is unavailable: "fail-closed" (default) or "fail-open".
    #[serde(default)]
    pub(crate) on_outage: OutagePolicy,
    /// What happens while the provider declines to verify, as with an exhausted quota. Risk: an
    /// attacker who exhausts the quota can cause this. Default "fail-closed".
    #[serde(default)]
    pub(crate) on_declined: OutagePolicy,
    /// What happens while the replay store fails. Default "fail-closed".
    #[serde(default)]
    pub(crate) on_store_unavailable: OutagePolicy,
    /// The action that the challenge must have been solved for.
    pub(crate) action: Option<String>,
    /// The hosts that may show the challenge.
    pub(crate) hostnames: Option<Vec<String>>,
    /// The lowest score, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// How old a solved challenge may be. Clocks may differ by 60 seconds, which come on top.
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) max_age: Option<Duration>,
    /// Decide and log, and refuse no request. Default false.
    #[serde(default)]
    pub(crate) observe_only: bool,
    /// When to demand a challenge. Default: always. Any of the rules is enough.
    pub(crate) challenge: Option<ChallengeTable>,
}

/// When a visitor is asked for a challenge.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ChallengeTable {
    /// After so many requests of an address within the window.
    pub(crate) after_requests: Option<u32>,
    /// How long that window is. Default "10m".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) window: Option<Duration>,
    /// When the user agent holds one of these.
    #[serde(default)]
    pub(crate) user_agent_contains: Vec<String>,
    /// When the request comes from one of these countries. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_in: Vec<String>,
    /// When the request comes from none of these countries. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_outside: Vec<String>,
}
