//! Notices when every token of a provider is refused on a route for one reason, which a wrong
//! configuration may explain.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use human_check_core::adapter::client_network;
use human_check_core::{Facts, Reason, Refusal};

/// The default number of refusals from which on a streak is reported.
pub(crate) const REFUSALS_BEFORE_WARNING: u32 = 20;

/// The most networks that are counted for a streak.
const MAX_NETWORKS: usize = 1_000;

/// The refusals of each route since a token passed there.
#[derive(Debug)]
pub(crate) struct RefusalStreaks {
    threshold: u32,
    by_route: Mutex<HashMap<String, HashMap<Cause, Streak>>>,
}

/// The provider that refused, and its reason.
type Cause = (String, &'static str);

/// The refusals for one cause.
#[derive(Debug, Default)]
struct Streak {
    refusals: u32,
    networks: HashSet<u64>,
    is_reported: bool,
}

impl RefusalStreaks {
    /// Creates streaks that are reported from `threshold` refusals on. With 0 none is reported.
    pub(crate) fn new(threshold: u32) -> Self {
        Self {
            threshold,
            by_route: Mutex::default(),
        }
    }

    /// Ends the streaks of the providers on a route whose tokens passed, and of refusals that name no
    /// provider.
    pub(crate) fn passed(&self, route: &str, facts: &Facts) {
        let mut by_route = self.by_route.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(streaks) = by_route
            .get_mut(route)
            .filter(|streaks| !streaks.is_empty())
        else {
            return;
        };
        streaks.retain(|(provider, reason), streak| {
            // A refusal may name no provider. Any pass then shows that the route works.
            let judged =
                provider.is_empty() || facts.all().any(|facts| facts.provider.name() == provider);
            if judged && streak.is_reported {
                set_metrics(route, provider, reason, 0.0, 0.0);
                tracing::info!(
                    target: "human_check_guard",
                    route,
                    provider,
                    reason,
                    "a token passed again"
                );
            }
            !judged
        });
    }

    /// Ends all streaks and what the gauges say. The guards of the next configuration count anew.
    pub(crate) fn end(&self) {
        let mut by_route = self.by_route.lock().unwrap_or_else(PoisonError::into_inner);
        for (route, streaks) in by_route.drain() {
            for ((provider, reason), streak) in streaks {
                if streak.is_reported {
                    set_metrics(&route, &provider, reason, 0.0, 0.0);
                }
            }
        }
    }

    /// Adds a refusal of a route, and reports its streak if it has become long enough.
    pub(crate) fn refused(&self, route: &str, refusal: &Refusal, client: Option<IpAddr>) {
        if self.threshold == 0 || !may_be_a_mistake(refusal) {
            return;
        }
        let reason = refusal.reason().as_str();
        let mut by_route = self.by_route.lock().unwrap_or_else(PoisonError::into_inner);
        if !by_route.contains_key(route) {
            by_route.insert(route.to_owned(), HashMap::new());
        }
        let Some(streaks) = by_route.get_mut(route) else {
            return;
        };
        let provider = refusal.provider().map_or("", |p| p.name());
        let streak = streaks.entry((provider.to_owned(), reason)).or_default();
        streak.refusals = streak.refusals.saturating_add(1);
        if let Some(client) = client
            && streak.networks.len() < MAX_NETWORKS
        {
            streak.networks.insert(client_network(client));
        }
        if streak.refusals < self.threshold {
            return;
        }
        let networks = streak.networks.len();
        if !streak.is_reported {
            streak.is_reported = true;
            tracing::warn!(
                target: "human_check_guard",
                route,
                provider,
                reason,
                expected = refusal.expected(),
                seen = seen(refusal).map(tracing::field::debug),
                refusals = streak.refusals,
                networks,
                "no token of this provider passes on this route, and all are refused for one \
                 reason; the configuration may be wrong, or bots are the only clients"
            );
        }
        set_metrics(route, provider, reason, 1.0, networks as f64);
    }
}

impl Drop for RefusalStreaks {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns whether a wrong configuration can cause this refusal. A token that expired or was used
/// before says nothing about the configuration, and neither does a text that was refused without the
/// provider.
fn may_be_a_mistake(refusal: &Refusal) -> bool {
    let asked = refusal.facts().is_some() || !refusal.codes().is_empty();
    let old = matches!(
        refusal.reason(),
        Reason::Expired | Reason::ExpiredOrReplayed | Reason::Missing | Reason::Replayed
    );
    asked && !old
}

/// Returns what the provider reported in place of what was expected. It may hold text that the
/// page's script chose, so it is shortened and logged in quotes.
fn seen(refusal: &Refusal) -> Option<String> {
    const MAX_CHARS: usize = 100;

    let facts = refusal.facts();
    let text = match refusal.reason() {
        Reason::WrongHostname => {
            let host = facts.and_then(|facts| Some(facts.hostname.as_ref()?.to_string()));
            host.or_else(|| facts?.app.clone())
        }
        Reason::WrongAction => {
            facts.and_then(|facts| Some(facts.action.as_ref()?.as_str().to_owned()))
        }
        Reason::ScoreTooLow => facts.and_then(|facts| Some(facts.score?.raw().to_string())),
        _ => None,
    };
    let text = text.unwrap_or_else(|| refusal.codes().join(", "));
    let shown: String = text.chars().take(MAX_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Sets the gauges of a streak.
fn set_metrics(route: &str, provider: &str, reason: &'static str, on: f64, networks: f64) {
    #[cfg(feature = "metrics")]
    {
        let labels = [
            ("route", route.to_owned()),
            ("provider", provider.to_owned()),
            ("reason", reason.to_owned()),
        ];
        metrics::gauge!("human_check_all_refused", &labels).set(on);
        metrics::gauge!("human_check_all_refused_networks", &labels).set(networks);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (route, provider, reason, on, networks);
}
