//! The summary of a configuration, in a few lines for the operator who wrote it.

use std::fmt::Write;

use crate::model::{Model, OutagePolicy, RouteTable, StoreKind};
use crate::provider_config::CHALLENGE_PATH;

/// Returns what a route selects apart from the accounts of `[check]`.
fn selection_notes(route: &RouteTable) -> Vec<String> {
    let list = |account: &str, fallback: &[String]| {
        let accounts = std::iter::once(account).chain(fallback.iter().map(String::as_str));
        accounts.collect::<Vec<_>>().join(", then ")
    };
    let fallback = route.fallback.as_deref().unwrap_or_default();
    let mut notes = Vec::new();
    match (&route.account, fallback) {
        (Some(account), fallback) => notes.push(format!("judged by {}", list(account, fallback))),
        (None, []) => {}
        (None, [first, rest @ ..]) => notes.push(format!("falls back to {}", list(first, rest))),
    }
    for (name, table) in route.by_host.iter().chain(&route.by_country) {
        let accounts = list(&table.account, &table.fallback);
        notes.push(format!("for {name} judged by {accounts}"));
    }
    if let Some(step_up) = &route.step_up {
        notes.push(format!(
            "a score from {} on leads to {}",
            step_up.floor, step_up.to
        ));
    }
    if let Some(clearance) = &route.accept_clearance {
        notes.push(format!(
            "accepts clearances of {}",
            clearance.from.join(", ")
        ));
    }
    for (account, demands) in &route.without {
        let demands: Vec<_> = demands.iter().map(|demand| demand.key()).collect();
        notes.push(format!("{account} is exempt from {}", demands.join(", ")));
    }
    notes
}

/// Returns one line for each account with a role, the replay store, and each route.
pub(crate) fn summary(model: &Model) -> String {
    let mut text = String::new();
    let mut line = |what: &str, rest: String| {
        let _ = writeln!(text, "{what:<12}{rest}");
    };
    let account = |name: &str| {
        let table = model.providers.get(name);
        let kind = table.map(|table| match &table.registered_kind {
            Some(kind) => kind,
            None => table.kind.as_str(),
        });
        let notes = table.map(|table| {
            let notes = [
                (table.allow_test_keys, ", test keys allowed"),
                (table.base_url.is_some(), ", another base URL"),
                (table.force_down, ", down by force_down"),
            ];
            notes
                .map(|(is_so, note)| if is_so { note } else { "" })
                .concat()
        });
        let notes = notes.unwrap_or_default();
        format!("{name} ({}{notes})", kind.unwrap_or_default())
    };
    let check = &model.check;
    let used = model.accounts();
    line("judges", account(&check.account));
    if !check.fallback.is_empty() {
        let accounts: Vec<_> = check.fallback.iter().map(|name| account(name)).collect();
        line("falls back", accounts.join(", then "));
    }
    if let Some(name) = &check.failover {
        let when = match check.failover_when_declined {
            true => "when that is unavailable or declines",
            false => "when that is unavailable",
        };
        line("failover", format!("{}, {when}", account(name)));
    }
    if let Some(accept) = &check.dual_accept {
        let until = match &accept.sunset {
            Some(sunset) => format!("until {sunset}"),
            None => "without a sunset".to_owned(),
        };
        line(
            "accepts",
            format!("{} as well, {until}", account(&accept.account)),
        );
    }
    if let Some(shadow) = &check.shadow {
        let share = shadow.sample.unwrap_or(1.0) * 100.0;
        let account = account(&shadow.account);
        line(
            "compares",
            format!("{account}, {share} % of visitors, into {}", shadow.file),
        );
    }
    if let Some(experiment) = &model.experiment {
        let current = experiment.current(model);
        let arms = experiment.arms.iter().map(|(name, weight)| {
            let note = if name == current { ", current" } else { "" };
            format!("{} at {weight}{note}", account(name))
        });
        let mut rest = arms.collect::<Vec<_>>().join(", ");
        if !experiment.ramp.is_empty() {
            let _ = write!(rest, "; in steps of {}", experiment.ramp.join(", "));
        }
        if let Some(until) = &experiment.until {
            let _ = write!(rest, "; until {until}");
        }
        let _ = write!(rest, "; into {}", experiment.file);
        line("experiment", format!("{}: {rest}", experiment.name));
    }
    let unused = model
        .providers
        .keys()
        .filter(|name| !used.contains(&name.as_str()));
    let unused: Vec<_> = unused.map(|name| account(name)).collect();
    if !unused.is_empty() {
        line("unused", unused.join(", "));
    }
    let single_use = match model.replay_store.as_ref().map(|table| table.kind) {
        None => "left to the providers",
        Some(StoreKind::Memory) => "claimed in each process",
        Some(StoreKind::Redis) => "claimed on a Redis server",
        Some(StoreKind::Postgres) => "claimed on a PostgreSQL server",
    };
    line("single use", single_use.to_owned());
    for (name, table) in &model.providers {
        if table.kind.is_self_hosted() && used.contains(&name.as_str()) {
            let at = table.site_key.as_deref().unwrap_or(CHALLENGE_PATH);
            line(
                "challenges",
                format!("pages fetch those of {name} from {at}"),
            );
        }
    }
    for (name, route) in &model.routes {
        let opens: Vec<_> = [
            ("an outage", route.on_outage),
            ("a provider that declines", route.on_declined),
            ("a failing store", route.on_store_unavailable),
        ]
        .into_iter()
        .filter_map(|(what, decision)| (decision == OutagePolicy::FailOpen).then_some(what))
        .collect();
        let mut rest = match opens.as_slice() {
            [] => "fails closed".to_owned(),
            opens => format!("fails open on {}", opens.join(", ")),
        };
        if route.observe_only {
            rest += "; observes only and refuses no request";
        }
        for note in selection_notes(route) {
            rest += "; ";
            rest += &note;
        }
        if let Some(action) = &route.action {
            let _ = write!(rest, "; action {action}");
        }
        if route.challenge.is_some() {
            rest += "; challenges only some requests";
        }
        line(&format!("/{name}"), rest);
    }
    text
}
