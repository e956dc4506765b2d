//! What a configuration allows that an operator may not have meant.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::keys;
use crate::model::{Model, OutagePolicy, ProviderTable};

/// Returns one sentence for each setting that works and is probably wrong or dangerous.
pub(crate) fn warnings(model: &Model, secrets: &[String]) -> Vec<String> {
    let used = model.accounts();
    let accounts = || {
        model
            .providers
            .iter()
            .filter(|(name, _)| used.contains(&name.as_str()))
    };
    let mut all: Vec<String> = secrets.to_vec();
    for (name, table) in accounts() {
        let account = format!("providers.{name}");
        all.extend(of_account(&account, table, model));
        all.extend(of_hosts(&account, table.hostnames.as_deref()));
        if table.force_down {
            all.push(format!(
                "{account}: force_down = true, so no visitor meets it, and without a fallback a route \
                 refuses everybody; remove it after the outage"
            ));
        }
    }
    for (name, route) in &model.routes {
        let path = format!("routes.{name}");
        all.extend(of_hosts(&path, route.hostnames.as_deref()));
        let hosts = accounts().all(|(_, table)| {
            // The tokens of these state no host, so `hostnames` would be an error.
            let states_none = matches!(table.kind.as_str(), "altcha" | "cap" | "mcaptcha");
            table.hostnames.is_some() || table.apps.is_some() || states_none
        });
        if route.hostnames.is_none() && route.apps.is_none() && !hosts {
            all.push(format!(
                "{path}: any host may show the challenge; list yours in `hostnames`"
            ));
        }
        if route.on_store_unavailable == OutagePolicy::FailOpen {
            all.push(format!(
                "{path}: on_store_unavailable fails open, so a token passes many times while the \
                 replay store fails"
            ));
        }
        if route.observe_only {
            all.push(format!(
                "{path}: observe_only = true, so no request is refused"
            ));
        }
        if route.on_declined == OutagePolicy::FailOpen {
            all.push(format!(
                "{path}: on_declined fails open, so a client that exhausts a provider's quota, or \
                 makes many requests at once, opens the route for everybody"
            ));
        }
    }
    if model.check.offer_keys.is_empty() && model.needs_offer_keys() {
        all.push(
            "check: no offer_keys, so offers and clearances count in this process only and end with \
             it"
            .to_owned(),
        );
    }
    let timeout = model.check.timeout.unwrap_or(Duration::from_secs(3));
    if model.has_fallback() && timeout < Duration::from_millis(2_500) {
        all.push(
            "check: timeout is below 2500ms, so a decision ends before two health probes do; the first \
             visitors of an outage are asked to send again"
                .to_owned(),
        );
    }
    if model.check.failover_when_declined {
        all.push(
            "check: failover_when_declined = true, so a client that exhausts the first provider's \
             quota chooses the second provider"
                .to_owned(),
        );
    }
    if let Some(experiment) = &model.experiment
        && experiment.guardrail == Some(false)
    {
        all.push(
            "experiment: guardrail = false, so a bad arm goes on until the operator stops it"
                .to_owned(),
        );
    }
    let issues = |table: &ProviderTable| table.kind.is_self_hosted();
    let actions: BTreeSet<_> = model
        .routes
        .values()
        .filter_map(|r| r.action.as_ref())
        .collect();
    if actions.len() > 1 && accounts().any(|(_, table)| issues(table)) {
        all.push(
            "routes expect different actions, and a challenge of altcha is for one".to_owned(),
        );
    }
    all
}

/// Returns the warnings about one account.
fn of_account(account: &str, table: &ProviderTable, model: &Model) -> Vec<String> {
    let mut all = Vec::new();
    if table.allow_test_keys {
        all.push(format!(
            "{account}: allow_test_keys = true, so tokens of the provider's test keys pass; never in \
             production"
        ));
        let routes = model.routes.values();
        let rules = table.hostnames.is_some()
            || table.apps.is_some()
            || routes.clone().any(|route| {
                route.action.is_some() || route.hostnames.is_some() || route.apps.is_some()
            });
        let is_test_key = table
            .site_key
            .as_deref()
            .is_some_and(keys::is_test_site_key);
        if is_test_key && rules {
            all.push(format!(
                "{account}: replies to test keys report the provider's own host and no action, so \
                 the rules `hostnames`, `apps` and `action` refuse each of them"
            ));
        }
    }
    if table.accept_offline_tokens {
        all.push(format!(
            "{account}: accept_offline_tokens = true, so a visitor chooses by the prefix of the \
             token that the backup service verifies it"
        ));
    }
    if let Some(base) = table
        .base_url
        .as_deref()
        .and_then(|text| Url::parse(text).ok())
    {
        let is_loopback = match base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if is_loopback {
            all.push(format!(
                "{account}: base_url is this machine, where an emulator runs; not in production"
            ));
        } else if let Some(hosts) = two_hosts(table.kind.as_str())
            && table.script_url.is_none()
        {
            all.push(format!(
                "{account}: base_url replaces the host of calls and the host of the page's script, \
                 which are two ({hosts}); write the script's with `script_url`"
            ));
        }
    }
    all
}

/// Returns the hosts of calls and of the script, for kinds where they differ.
fn two_hosts(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "captchala" => "apiv1.captcha.la and its script's host",
        "captchafox" => "api.captchafox.com and cdn.captchafox.com",
        "hcaptcha" => "api.hcaptcha.com and js.hcaptcha.com",
        "recaptcha-enterprise" => "recaptchaenterprise.googleapis.com and www.google.com",
        _ => return None,
    })
}

/// Returns the warnings about a list of hosts.
fn of_hosts(path: &str, hosts: Option<&[String]>) -> Vec<String> {
    let mut all = Vec::new();
    for host in hosts.unwrap_or_default() {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>()
            && !ip.is_loopback()
        {
            all.push(format!(
                "{path}: hostnames has {host}, which is an address; providers report the name in the \
                 browser's address bar"
            ));
        }
        if let Some(looks_like) = look_alike(host) {
            all.push(format!(
                "{path}: hostnames has {host:?}, which has letters of another alphabet and looks \
                 like {looks_like:?}"
            ));
        }
    }
    all
}

/// Letters of other alphabets, each with the Latin letter that it looks like.
const TWINS: [(char, char); 38] = [
    ('\u{430}', 'a'),
    ('\u{3f2}', 'c'),
    ('\u{441}', 'c'),
    ('\u{501}', 'd'),
    ('\u{435}', 'e'),
    ('\u{4bb}', 'h'),
    ('\u{456}', 'i'),
    ('\u{458}', 'j'),
    ('\u{4cf}', 'l'),
    ('\u{43c}', 'm'),
    ('\u{43e}', 'o'),
    ('\u{440}', 'p'),
    ('\u{51b}', 'q'),
    ('\u{455}', 's'),
    ('\u{57d}', 'u'),
    ('\u{3bd}', 'v'),
    ('\u{475}', 'v'),
    ('\u{51d}', 'w'),
    ('\u{445}', 'x'),
    ('\u{443}', 'y'),
    ('\u{4af}', 'y'),
    ('\u{3b1}', 'a'),
    ('\u{3bf}', 'o'),
    ('\u{3c1}', 'p'),
    ('\u{3c5}', 'u'),
    ('\u{3ba}', 'k'),
    ('\u{3c4}', 't'),
    ('\u{581}', 'g'),
    ('\u{570}', 'h'),
    ('\u{578}', 'n'),
    ('\u{585}', 'o'),
    ('\u{261}', 'g'),
    ('\u{269}', 'i'),
    ('\u{131}', 'i'),
    ('\u{43a}', 'k'),
    ('\u{442}', 't'),
    ('\u{50d}', 'g'),
    ('\u{251}', 'a'),
];

/// Returns the plain name that a name looks like, if letters of other alphabets make it look like
/// one.
fn look_alike(host: &str) -> Option<String> {
    let unicode = idna::domain_to_unicode(&host.to_lowercase()).0;
    let labels: Vec<_> = unicode.split('.').map(plain_label).collect();
    let is_changed = labels
        .iter()
        .zip(unicode.split('.'))
        .any(|(plain, label)| plain != label);
    is_changed.then(|| labels.join("."))
}

/// Returns the label with Latin letters in the place of their twins, if it mixes alphabets or has
/// nothing but twins, and the label itself otherwise.
///
/// A word of one alphabet, such as a Russian one, has further letters and is written on purpose.
fn plain_label(label: &str) -> String {
    let twin = |letter: char| {
        let known = TWINS.iter().find(|(other, _)| *other == letter);
        known.map(|(_, latin)| *latin)
    };
    let is_mixed = label.chars().any(|letter| letter.is_ascii_alphabetic());
    let only_twins = label
        .chars()
        .all(|letter| letter.is_ascii() || twin(letter).is_some());
    match is_mixed || only_twins {
        true => label
            .chars()
            .map(|letter| twin(letter).unwrap_or(letter))
            .collect(),
        false => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_another_is_told() {
        for (host, looks_like) in [
            ("ex\u{430}mple.com", Some("example.com")),
            (
                "www.\u{440}\u{430}y\u{440}\u{430}l.com",
                Some("www.paypal.com"),
            ),
            ("\u{430}\u{440}\u{440}\u{4cf}\u{435}.com", Some("apple.com")),
            ("g\u{3bf}\u{3bf}gle.com", Some("google.com")),
            ("xn--exmple-4nf.com", Some("example.com")),
            ("XN--EXMPLE-4NF.com", Some("example.com")),
            ("g\u{43e}\u{43e}gle.рф", Some("google.рф")),
            ("\u{430}\u{440}\u{440}\u{4cf}\u{435}.рф", Some("apple.рф")),
            (
                "m\u{fc}nchen-b\u{430}nk.example",
                Some("münchen-bank.example"),
            ),
            ("пример.example", None),
            ("münchen.example", None),
            ("www.example.com", None),
            ("例え.example", None),
        ] {
            assert_eq!(look_alike(host).as_deref(), looks_like, "{host}");
        }
    }
}
