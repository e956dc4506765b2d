//! Reads the short form for one provider: `HUMAN_CHECK_PROVIDER`, `HUMAN_CHECK_SITE_KEY`,
//! `HUMAN_CHECK_SECRET` and some more variables. Each stands for a key of a file.

use std::sync::Arc;

use human_check_core::ConfigError;
use toml::{Table, Value};

use super::{Document, KeyPath, Override};
use crate::ProviderKind;
use crate::model::ANY_ROUTE;
use crate::suggestion::suggestion;

/// The prefix of all variables of human-check.
pub(crate) const PREFIX: &str = "HUMAN_CHECK_";

/// The table of a variable's key.
#[derive(Clone, Copy)]
enum In {
    /// The account, `[providers.KIND]`.
    Account,
    /// The table of every route, `[routes."*"]`.
    Route,
    /// `[check]`.
    Check,
    /// `[site]`.
    Site,
}

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
enum As {
    /// `allowed`, which stands for `true`.
    Allowed,
    /// Texts, separated by commas.
    List,
    /// A text that may hold a password, so the key refers to the variable.
    Reference,
    /// A number.
    Number,
    /// A text.
    Text,
}

/// The variables that set one key: name without the prefix, table, key, and kind of value. The
/// provider and its secret set several keys, and are read separately.
const VARIABLES: [(&str, In, &str, As); 19] = [
    ("ACTION", In::Route, "action", As::Text),
    ("APPS", In::Account, "apps", As::List),
    ("BASE_URL", In::Account, "base_url", As::Text),
    ("CLIENT_ADDRESS", In::Site, "client_address", As::Text),
    ("DIFFICULTY", In::Account, "difficulty", As::Text),
    ("ENTERPRISE_KEY", In::Account, "enterprise_key", As::Text),
    ("FIELD", In::Account, "fields", As::List),
    ("HEADER", In::Site, "header", As::Text),
    ("HOSTNAMES", In::Account, "hostnames", As::List),
    ("INSTANCE", In::Account, "instance", As::Text),
    ("MAX_RISK", In::Account, "max_risk", As::Number),
    ("MIN_SCORE", In::Account, "min_score", As::Number),
    ("ON_OUTAGE", In::Route, "on_outage", As::Text),
    ("PROJECT", In::Account, "project", As::Text),
    ("PROXY", In::Check, "proxy", As::Reference),
    ("SITE", In::Account, "site", As::Text),
    ("SITE_KEY", In::Account, "site_key", As::Text),
    ("TEST_KEYS", In::Account, "allow_test_keys", As::Allowed),
    ("TRUSTED_PROXIES", In::Site, "trusted_proxies", As::List),
];

/// Other known variables: the provider's kind and its secret, the file, the settings of stores, and
/// the folder of altcha's widget, which applications read.
const OTHERS: [&str; 8] = [
    "CONFIG",
    "DIGEST_SECRET",
    "POSTGRES_URL",
    "PROVIDER",
    "REDIS_URL",
    "SECRET",
    "SECRET_FILE",
    "WIDGET",
];

/// The prefix of the variable with the secret of an account, `HUMAN_CHECK_SECRET_<NAME>`, without
/// the prefix of all variables. Such a variable sets no key: it is the default place of the secret.
const ACCOUNT_SECRET: &str = "SECRET_";

/// Returns whether the variable `name`, without the prefix, is known. A secret is known only beside
/// keys of its account, so that a misspelt `SECRET_FILE` is an error.
fn is_known(name: &str, overrides: &[Override]) -> bool {
    let is_of_an_account = |account: &str| {
        let keys = format!("{}PROVIDERS__{account}__", Override::PREFIX);
        overrides.iter().any(|key| key.variable.starts_with(&keys))
    };
    let account = name.strip_prefix(ACCOUNT_SECRET);
    VARIABLES.iter().any(|(known, ..)| *known == name)
        || OTHERS.contains(&name)
        || account.is_some_and(is_of_an_account)
}

/// Returns whether the variable `name`, without the prefix, sets a key that a file would set.
pub(crate) fn sets_a_key(name: &str) -> bool {
    name == "PROVIDER" || VARIABLES.iter().any(|(known, ..)| *known == name)
}

/// Returns the document that `variables` stand for. Their names are without the prefix, and no
/// value is blank.
pub(crate) fn document(
    variables: &[(String, String)],
    overrides: &[Override],
) -> Result<Document, ConfigError> {
    for (name, _) in variables {
        if !is_known(name, overrides) {
            if let Some(account) = name.strip_prefix(ACCOUNT_SECRET)
                && suggestion(name, OTHERS).starts_with("write one of")
            {
                let keys = format!("{}PROVIDERS__{account}__…", Override::PREFIX);
                let remedy = format!(
                    "set {PREFIX}SECRET for the provider of the short form, or the keys {keys}"
                );
                let problem = "is the secret of an account that is not configured";
                return Err(wrong(name, problem, remedy));
            }
            let known = VARIABLES.iter().map(|(known, ..)| *known).chain(OTHERS);
            let mut known: Vec<_> = known.map(|known| format!("{PREFIX}{known}")).collect();
            known.sort_unstable();
            let known = known.iter().map(String::as_str);
            let remedy = suggestion(&format!("{PREFIX}{name}"), known);
            return Err(wrong(name, "is not known", remedy));
        }
    }
    refuse_unused_server(variables, overrides)?;
    let get = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let Some(provider) = get("PROVIDER") else {
        let kinds: Vec<_> = ProviderKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let remedy = format!(
            "write one of {}, or name a file with {PREFIX}CONFIG",
            kinds.join(", ")
        );
        return Err(wrong("PROVIDER", "is not set", remedy));
    };
    let kind = ProviderKind::from_name(provider);
    let name = kind.map_or("main", ProviderKind::as_str).to_owned();

    let (mut account, mut route) = (Table::new(), Table::new());
    let (mut check, mut site) = (Table::new(), Table::new());
    account.insert("kind".to_owned(), Value::String(provider.to_owned()));
    let from_file = secret(&get, &mut account)?;
    for (variable, table, key, shape) in VARIABLES {
        let Some(text) = get(variable) else { continue };
        let table = match table {
            In::Account => &mut account,
            In::Route => &mut route,
            In::Check => &mut check,
            In::Site => &mut site,
        };
        table.insert(key.to_owned(), value(variable, text, shape)?);
    }

    let nested = |name: &str, table: Table| {
        Value::Table(Table::from_iter([(name.to_owned(), Value::Table(table))]))
    };
    let mut all = Table::new();
    all.insert("providers".to_owned(), nested(&name, account));
    all.insert("routes".to_owned(), nested(ANY_ROUTE, route));
    all.insert("site".to_owned(), Value::Table(site));
    check.insert("use".to_owned(), Value::String(name.clone()));
    all.insert("check".to_owned(), Value::Table(check));
    if kind.is_some_and(ProviderKind::is_self_hosted) {
        // Without a store, a token of altcha could be used repeatedly.
        let memory = Value::String("memory".to_owned());
        let store = Table::from_iter([("kind".to_owned(), memory)]);
        all.insert("replay_store".to_owned(), Value::Table(store));
    }
    let place = move |path: &KeyPath| match variable_of(path, &name, from_file) {
        Some(variable) => format!("{PREFIX}{variable}"),
        None => format!("environment: {path}"),
    };
    Ok(Document::from_table("environment", all, Arc::new(place)))
}

/// Puts the reference to the secret into the account, and returns whether it is a file.
fn secret<'v>(
    get: &impl Fn(&str) -> Option<&'v str>,
    account: &mut Table,
) -> Result<bool, ConfigError> {
    let place = match (get("SECRET"), get("SECRET_FILE")) {
        (Some(_), Some(_)) => {
            let problem = "is set beside HUMAN_CHECK_SECRET";
            return Err(wrong("SECRET_FILE", problem, "set one of them"));
        }
        (None, None) => {
            let remedy =
                "set it to the secret key, or HUMAN_CHECK_SECRET_FILE to a file that holds it";
            return Err(wrong("SECRET", "is not set", remedy));
        }
        (Some(_), None) => ("env", format!("{PREFIX}SECRET")),
        (None, Some(file)) => ("file", file.to_owned()),
    };
    let from_file = place.0 == "file";
    let place = (place.0.to_owned(), Value::String(place.1));
    account.insert("secret".to_owned(), Value::Table(Table::from_iter([place])));
    Ok(from_file)
}

/// Refuses the variables of a server that no store is on. If they were ignored, an operator would
/// take claims for shared between processes.
fn refuse_unused_server(
    variables: &[(String, String)],
    overrides: &[Override],
) -> Result<(), ConfigError> {
    // One key by its own variable, or the whole table in one.
    let is_on_server = |key: &Override| {
        let variable = key.variable.to_ascii_uppercase();
        let mut stores = ["REPLAY_STORE", "ATTEMPT_STORE"].into_iter();
        let sets_a_store = |store| variable.starts_with(&format!("{}{store}", Override::PREFIX));
        stores.any(sets_a_store)
            && ["redis", "postgres"]
                .iter()
                .any(|kind| key.value.contains(kind))
    };
    let of_server = |(name, _): &&(String, String)| {
        matches!(&**name, "REDIS_URL" | "POSTGRES_URL" | "DIGEST_SECRET")
    };
    match variables.iter().find(of_server) {
        Some((name, _)) if !overrides.iter().any(is_on_server) => Err(wrong(
            name,
            "is set, and no store is on a server",
            format!(
                "set {}REPLAY_STORE__KIND=redis as well, or unset it",
                Override::PREFIX
            ),
        )),
        _ => Ok(()),
    }
}

/// Returns the value of a variable's key.
fn value(variable: &str, text: &str, shape: As) -> Result<Value, ConfigError> {
    Ok(match shape {
        As::Text => Value::String(text.to_owned()),
        As::Reference => {
            let name = Value::String(format!("{PREFIX}{variable}"));
            Value::Table(Table::from_iter([("env".to_owned(), name)]))
        }
        As::Number => {
            let number = text.parse().map_err(|_| {
                wrong(
                    variable,
                    "is not a number",
                    "write one such as 0.5".to_owned(),
                )
            })?;
            Value::Float(number)
        }
        As::Allowed if text == "allowed" => Value::Boolean(true),
        As::Allowed => {
            let remedy = "write `allowed`, or leave it out";
            return Err(wrong(variable, "is not one of its values", remedy));
        }
        As::List => {
            let entries: Vec<_> = text.split(',').map(str::trim).collect();
            if entries.iter().any(|entry| entry.is_empty()) {
                return Err(wrong(
                    variable,
                    "has an empty entry, so a rule may be missing",
                    "write entries separated by commas, or unset it",
                ));
            }
            let entries = entries.into_iter();
            Value::Array(
                entries
                    .map(|entry| Value::String(entry.to_owned()))
                    .collect(),
            )
        }
    })
}

/// Returns the variable that sets the key at `path`, whether it is set or not. `account` is the
/// name of the account that the short form sets up.
fn variable_of(path: &KeyPath, account: &str, secret_from_file: bool) -> Option<&'static str> {
    let parts: Vec<_> = path.parts().iter().map(String::as_str).collect();
    let (table, key) = match parts[..] {
        // A further account, of which single variables set the keys.
        ["providers", other, ..] if other != account => return None,
        ["check", "use"] | ["providers", _, "kind"] => return Some("PROVIDER"),
        ["providers", _, "secret", ..] if secret_from_file => return Some("SECRET_FILE"),
        ["providers", _, "secret", ..] => return Some("SECRET"),
        ["providers", _, key, ..] => (In::Account, key),
        ["routes", _, key, ..] => (In::Route, key),
        ["site", key, ..] => (In::Site, key),
        ["check", key, ..] => (In::Check, key),
        _ => return None,
    };
    // A rule that accounts and routes can have, such as `min_score`, has one variable for both.
    let is_rule = |one: In| matches!(one, In::Account | In::Route);
    let same = |one: In| match table {
        In::Account | In::Route => is_rule(one),
        In::Check => matches!(one, In::Check),
        In::Site => matches!(one, In::Site),
    };
    let mut all = VARIABLES.iter();
    let found = all.find(|(_, place, known, _)| *known == key && same(*place));
    found.map(|(variable, ..)| *variable)
}

/// Creates an error about a variable.
fn wrong(name: &str, problem: &'static str, remedy: impl Into<String>) -> ConfigError {
    // Names that begin with a capital are without the prefix.
    let shown = match name.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => format!("{PREFIX}{name}"),
        false => name.to_owned(),
    };
    ConfigError::new(shown, problem, remedy.into())
}
