use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use human_check_config::ProviderKind;
use human_check_http::adapter::json;
use serde::Deserialize;
use serde_json::Value;

use crate::Rules;

/// A reply and how it is to be read. The shape of one line of `explain --jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Comes back in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// Whose reply it is.
    pub provider: ProviderKind,
    /// The HTTP status.
    pub status: u16,
    /// The HTTP headers.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// The body, as text or, with `enc` of `b64`, in base64.
    #[serde(deserialize_with = "null_is_empty")]
    pub body: String,
    /// `b64` when the body is in base64.
    #[serde(default)]
    pub enc: Option<String>,
    /// The rules.
    #[serde(default)]
    pub policy: Option<Rules>,
    /// The time to judge ages at, RFC 3339.
    #[serde(default)]
    pub now: Option<String>,
    /// Our site key, where the reply names one.
    #[serde(default)]
    pub site_key: Option<String>,
    /// The token, where its kind matters.
    #[serde(default)]
    pub token: Option<String>,
}

/// Names of the members of a case.
const MEMBERS: [&str; 10] = [
    "name", "provider", "status", "headers", "body", "enc", "policy", "now", "site_key", "token",
];

impl Case {
    /// Reads one line of `explain --jsonl`.
    ///
    /// Members it does not know are left alone, but not one that can only be meant as a rule or as
    /// another spelling of a member: a misspelt rule must not be a missing rule.
    ///
    /// # Errors
    ///
    /// A message when the line is no case. It repeats no text of the line but names.
    pub fn from_json(line: &[u8]) -> Result<Self, String> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        // Strictly, so that a member that is there twice is an error and not the last of both.
        let value: Value =
            json::object(line).map_err(|error| format!("no line of JSON: {error}"))?;
        let Value::Object(members) = &value else {
            return Err("not a JSON object".to_owned());
        };
        let rules = Rules::MEMBERS;
        let like = |name: &str, known: &str| {
            let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
            let distance = strsim::damerau_levenshtein(&plain(name), &plain(known));
            distance <= known.len() / 4
        };
        for name in members
            .keys()
            .filter(|name| !MEMBERS.contains(&name.as_str()))
        {
            let mut known = MEMBERS
                .iter()
                .chain(&rules)
                .chain(&["policies", "rules", "reply"]);
            if known.any(|known| like(name, known)) {
                return Err(format!(
                    "`{name}` is not a member here; check its spelling, and write rules inside `policy`"
                ));
            }
        }
        if members
            .get("policy")
            .is_some_and(|policy| !policy.is_object() && !policy.is_null())
        {
            return Err("`policy` is not an object".to_owned());
        }
        if !members.get("provider").is_some_and(Value::is_string) {
            return Err("`provider` is missing; name one as a text".to_owned());
        }
        serde_json::from_value(value).map_err(|error| without_texts(&error.to_string()))
    }

    /// A reply without rules.
    pub fn new(provider: ProviderKind, status: u16, body: &[u8]) -> Self {
        Self {
            name: None,
            provider,
            status,
            headers: None,
            body: STANDARD.encode(body),
            enc: Some("b64".to_owned()),
            policy: None,
            now: None,
            site_key: None,
            token: None,
        }
    }
}

/// What serde says of a value, without the value: texts are in quotes, and the name of a variant
/// is whatever was written.
fn without_texts(message: &str) -> String {
    let mut parts = message.split('"');
    let first = parts.next().unwrap_or("").to_owned();
    let last = parts.next_back();
    let message = last.map_or(first.clone(), |last| format!("{first}…{last}"));
    match message
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.split_once('`'))
    {
        Some((_, known)) => format!("unknown name{known}"),
        None => message,
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
