//! The summary of a configuration, in a few lines for the operator who wrote it.

use std::fmt::Write;

use crate::model::{Model, OutagePolicy, StoreKind};
use crate::provider_config::CHALLENGE_PATH;

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
        let notes = table.map_or("", |table| match (table.allow_test_keys, &table.base_url) {
            (true, Some(_)) => ", test keys allowed, another base URL",
            (true, None) => ", test keys allowed",
            (false, Some(_)) => ", another base URL",
            (false, None) => "",
        });
        format!("{name} ({}{notes})", kind.unwrap_or_default())
    };
    let check = &model.check;
    let used = model.accounts();
    line("judges", account(&check.account));
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
