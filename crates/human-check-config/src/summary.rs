//! What a configuration amounts to, in a few lines for whoever wrote it.

use std::collections::BTreeSet;
use std::fmt::Write;

use human_check_guard::OnOutage;

use crate::Vendor;
use crate::model::{Model, StoreKind};
use crate::proof_of_work::CHALLENGES;

pub(crate) fn summary(model: &Model) -> String {
    let mut text = String::new();
    let mut line = |what: &str, rest: String| {
        let _ = writeln!(text, "{what:<12}{rest}");
    };
    let vendor = |name: &str| {
        let provider = model
            .vendors
            .get(name)
            .map(|table| table.provider.provider());
        format!(
            "{name} ({})",
            provider.map_or("", |provider| provider.name())
        )
    };
    let check = &model.check;
    let used = check.vendors();
    line("decides", vendor(&check.vendor));
    if let Some(name) = &check.failover {
        let when = match check.failover_when_declined {
            true => "when that is unavailable or will not judge",
            false => "when that is unavailable",
        };
        line("failover", format!("{}, {when}", vendor(name)));
    }
    if let Some(accept) = &check.accept {
        let until = match &accept.until {
            Some(until) => format!("until {until}"),
            None => "without an end".to_owned(),
        };
        line(
            "accepts",
            format!("{} as well, {until}", vendor(&accept.vendor)),
        );
    }
    if let Some(shadow) = &check.shadow {
        let share = shadow.sample.unwrap_or(1.0) * 100.0;
        let vendor = vendor(&shadow.vendor);
        line(
            "compares",
            format!("{vendor}, {share} % of visitors, into {}", shadow.file),
        );
    }
    let unused = model
        .vendors
        .keys()
        .filter(|name| !used.contains(&name.as_str()));
    let unused: Vec<_> = unused.map(|name| vendor(name)).collect();
    if !unused.is_empty() {
        line("unused", unused.join(", "));
    }
    let single_use = match model.single_use.as_ref().map(|table| table.store) {
        None => "left to the vendors",
        Some(StoreKind::Memory) => "remembered in each process",
        Some(StoreKind::Redis) => "remembered on a Redis server",
    };
    line("single use", single_use.to_owned());
    for (name, table) in &model.vendors {
        if table.provider == Vendor::Altcha && used.contains(&name.as_str()) {
            let at = table.site_key.as_deref().unwrap_or(CHALLENGES);
            line(
                "challenges",
                format!("pages fetch those of {name} from {at}"),
            );
            let routes = model.routes.values();
            let actions: BTreeSet<_> = routes.filter_map(|route| route.action.as_ref()).collect();
            if actions.len() > 1 {
                line(
                    "",
                    "warning: routes expect different actions, and a challenge is for one".into(),
                );
            }
        }
    }
    for (name, route) in &model.routes {
        let opens: Vec<_> = [
            ("an outage", Some(route.on_outage)),
            ("a vendor that will not judge", route.on_declined),
            ("a failing store", route.on_unclaimed),
        ]
        .into_iter()
        .filter_map(|(what, decision)| (decision == Some(OnOutage::LetIn)).then_some(what))
        .collect();
        let mut rest = match opens.as_slice() {
            [] => "closed whatever fails".to_owned(),
            opens => format!("lets everybody in on {}", opens.join(", ")),
        };
        if route.observe_only {
            rest += "; observes only and refuses nobody";
        }
        if let Some(action) = &route.action {
            let _ = write!(rest, "; action {action}");
        }
        if route.challenge.is_some() {
            rest += "; challenges only some";
        }
        line(&format!("/{name}"), rest);
        let hosts = used.iter().all(|name| {
            let vendor = model.vendors.get(*name);
            // altcha's answers say no host, so its advice could not be followed.
            vendor
                .is_some_and(|table| table.hostnames.is_some() || table.provider == Vendor::Altcha)
        });
        if route.hostnames.is_none() && !hosts {
            line(
                "",
                "warning: any host may show the challenge; list yours in `hostnames`".into(),
            );
        }
    }
    text
}
