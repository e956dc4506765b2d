//! Builds the dialect and the widget of a provider without a kind of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use human_check_core::adapter::{WidgetApi, WidgetSources, WidgetSpec};
use human_check_core::{ConfigError, MAX_TOKEN_BYTES, Provider, Reason};
use human_check_http::Endpoint;
use human_check_http::adapter::siteverify::CodeClass;
use human_check_http::adapter::{TokenFormat, page_host};
use human_check_siteverify::{Dialect, ScoreScale};

use crate::model::{DialectTable, MarkupTable};

/// Builds the dialect of the account called `name`, whose tokens arrive in `fields`.
///
/// The fields of its errors are keys below `dialect`.
pub(crate) fn dialect(
    name: &str,
    fields: &[String],
    table: &DialectTable,
) -> Result<Dialect, ConfigError> {
    let wrong = |key: &str, problem: String, remedy: String| {
        ConfigError::new(format!("dialect.{key}"), problem, remedy)
    };
    let endpoint = Endpoint::parse(&table.url).map_err(|error| error.with_field("dialect.url"))?;
    let provider = Provider::new(intern(name), &[]).with_fields(fields.iter().cloned());
    let mut dialect = Dialect::new(provider, endpoint);
    if table.json {
        dialect = dialect.with_json_body();
    }
    if let Some(header) = &table.secret_header {
        let header = header.to_ascii_lowercase().parse().map_err(|_| {
            let remedy = "write letters, digits and dashes, such as X-API-Key";
            wrong(
                "secret_header",
                "is not the name of a header".into(),
                remedy.into(),
            )
        })?;
        dialect = dialect.with_secret_header(header);
    }
    if let Some(member) = &table.secret_member {
        dialect = dialect.with_secret_member(member.clone());
    }
    if let Some(member) = &table.token_member {
        dialect = dialect.with_token_member(member.clone());
    }
    if let Some(member) = &table.client_ip_member {
        dialect = dialect.with_client_ip_member(non_empty(member));
    }
    for (member, value) in &table.constants {
        dialect = dialect.with_constant(member.clone(), value.clone());
    }
    if let Some(path) = &table.success_at {
        dialect = dialect.with_success_at(path.clone());
    }
    if let Some(text) = &table.success_text {
        dialect = dialect.with_success_text(text.clone());
    }
    if let Some(path) = &table.codes_at {
        dialect = dialect.with_codes_at(path.clone());
    }
    if let Some(path) = &table.hostname_at {
        dialect = dialect.with_hostname_at(non_empty(path));
    }
    if let Some(path) = &table.action_at {
        dialect = dialect.with_action_at(path.clone());
    }
    if let Some(path) = &table.solved_at {
        dialect = dialect.with_solved_at(non_empty(path));
    }
    if table.score_max_risk.is_some() && table.score_at.is_none() {
        let problem = "is given without score_at".to_owned();
        return Err(wrong(
            "score_max_risk",
            problem,
            "name the score's member, or leave it out".into(),
        ));
    }
    if let Some(path) = &table.score_at {
        let scale = table
            .score_max_risk
            .map_or(ScoreScale::Humanity, ScoreScale::Risk);
        dialect = dialect.with_score_at(path.clone(), scale);
    }
    if let Some(bytes) = table.max_token_bytes {
        if !(1..=MAX_TOKEN_BYTES).contains(&bytes) {
            return Err(wrong(
                "max_token_bytes",
                format!("is {bytes}"),
                format!("write a number from 1 to {MAX_TOKEN_BYTES}"),
            ));
        }
        dialect = dialect.with_token_format(TokenFormat::new(bytes));
    }
    if let Some(prefix) = table.unsolved_prefix {
        dialect = dialect.with_unsolved_prefix(prefix);
    }
    for (code, meaning) in &table.codes {
        let key = format!("codes.{code}");
        dialect = match class(meaning).map_err(|(problem, remedy)| wrong(&key, problem, remedy))? {
            None => dialect.with_ignored_code(code.clone()),
            Some(class) => dialect.with_code(code.clone(), class),
        };
    }
    for (status, meaning) in &table.statuses {
        let key = format!("statuses.{status}");
        let number = status
            .parse()
            .ok()
            .filter(|status| (400..600).contains(status));
        let number = number.ok_or_else(|| {
            let problem = "is not the status of an error".to_owned();
            wrong(&key, problem, "write a number from 400 to 599".to_owned())
        })?;
        let class = class(meaning).map_err(|(problem, remedy)| wrong(&key, problem, remedy))?;
        let class = class.ok_or_else(|| {
            wrong(
                &key,
                "cannot be ignored".into(),
                "say what the status means".into(),
            )
        })?;
        dialect = dialect.with_status(number, None, class);
    }
    Ok(dialect)
}

/// Returns what a code means. `None` for one that is ignored.
fn class(meaning: &str) -> Result<Option<CodeClass>, (String, String)> {
    const REASONS: [Reason; 8] = [
        Reason::Expired,
        Reason::ExpiredOrReplayed,
        Reason::Invalid,
        Reason::Malformed,
        Reason::Missing,
        Reason::Other,
        Reason::Replayed,
        Reason::WrongSiteKey,
    ];
    Ok(Some(match meaning {
        "ignored" => return Ok(None),
        "misconfigured" => CodeClass::Misconfigured("code"),
        "declined" => CodeClass::Declined("code"),
        "unavailable" => CodeClass::Unavailable("code"),
        meaning => {
            let reason = REASONS
                .into_iter()
                .find(|reason| reason.as_str() == meaning);
            let reason = reason.ok_or_else(|| {
                let names = REASONS.iter().map(|reason| reason.as_str());
                let known = ["declined", "ignored", "misconfigured", "unavailable"].into_iter();
                let remedy = crate::suggestion::suggestion(meaning, known.chain(names));
                ("is not a meaning of a code".to_owned(), remedy)
            })?;
            CodeClass::Refused(reason)
        }
    }))
}

/// Returns the description of a widget.
pub(crate) fn markup(table: &MarkupTable) -> Result<&'static WidgetSpec, ConfigError> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let attribute = table
        .site_key_attribute
        .as_deref()
        .unwrap_or("data-sitekey");
    for (key, text) in [("class", &*table.class), ("site_key_attribute", attribute)] {
        if !is_plain(text) {
            return Err(ConfigError::new(
                format!("dialect.widget.{key}"),
                "has other characters than letters, digits, `-` and `_`",
                "write the name that the provider's documentation shows",
            ));
        }
    }
    let functions = [("render", &table.render), ("attach", &table.attach)];
    for (key, path) in functions {
        if path
            .as_deref()
            .is_some_and(|path| !path.split('.').all(is_plain))
        {
            return Err(ConfigError::new(
                format!("dialect.widget.{key}"),
                "is not the name of a global object or function",
                "write the name from the provider's documentation, such as `acme` or `acme.attach`",
            ));
        }
    }
    for (key, hosts) in [("frames", &table.frames), ("connects", &table.connects)] {
        // The texts become sources of a content security policy.
        let is_host = |text: &String| {
            let host = text.strip_prefix("https://");
            host.is_some_and(|host| host.split('.').all(is_plain))
        };
        if !hosts.iter().all(is_host) {
            return Err(ConfigError::new(
                format!("dialect.widget.{key}"),
                "has an entry that is not `https://` and a host",
                "write entries such as https://widget.example.com",
            ));
        }
    }
    let is_own = table.script.starts_with('/') && !table.script.starts_with("//");
    let is_https = table.script.starts_with("https://") && page_host(&table.script).is_some();
    if !is_own && !is_https {
        return Err(ConfigError::new(
            "dialect.widget.script",
            "is not the `https` URL of a script",
            "write a URL such as https://widget.example.com/api.js, or a path on the site itself, \
             such as /captcha/api.js",
        ));
    }
    let origin = table
        .script
        .split_inclusive('/')
        .take(3)
        .collect::<String>();
    let script = match table.script.starts_with("https://") {
        true => vec![origin.trim_end_matches('/').to_owned()],
        false => vec!["'self'".to_owned()],
    };
    Ok(keep(table, || WidgetSpec {
        module: table.module,
        api: match &table.render {
            Some(object) => WidgetApi::Render(intern(object)),
            None => WidgetApi::Element {
                attach: table.attach.as_deref().map(|path| intern(path)),
            },
        },
        sources: WidgetSources {
            script: intern_all(&script),
            frame: intern_all(&table.frames),
            connect: intern_all(&table.connects),
            ..WidgetSources::NONE
        },
        ..WidgetSpec::new(
            intern(&table.script),
            intern(&table.class),
            intern(attribute),
        )
    }))
}

/// Returns the description of a table for as long as the process runs. Equal tables are kept once, so
/// reloads of one configuration keep no more.
fn keep(table: &MarkupTable, describe: impl FnOnce() -> WidgetSpec) -> &'static WidgetSpec {
    static KEPT: Mutex<BTreeMap<String, &'static WidgetSpec>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(format!("{table:?}"))
        .or_insert_with(|| Box::leak(Box::new(describe())))
}

fn intern_all(texts: &[String]) -> &'static [&'static str] {
    let texts: Vec<_> = texts.iter().map(|text| intern(text)).collect();
    Box::leak(texts.into_boxed_slice())
}

/// Returns the text if it is not empty, for as long as the process runs.
fn non_empty(text: &str) -> Option<&'static str> {
    (!text.is_empty()).then(|| intern(text))
}

/// Returns `text` for as long as the process runs. Equal texts are kept once, so reloads of one
/// configuration keep no more.
fn intern(text: &str) -> &'static str {
    static KEPT: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(text) {
        return known;
    }
    let leaked: &'static str = Box::leak(text.to_owned().into_boxed_str());
    kept.insert(text.to_owned(), leaked);
    leaked
}
