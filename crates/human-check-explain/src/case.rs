use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use human_check_config::ProviderKind;
use human_check_http::adapter::json;
use serde::Deserialize;
use serde_json::Value;

use crate::Rules;

/// A provider's reply, and the rules to judge it by. One line of `human-check explain --jsonl` has
/// the same members.
///
/// ```
/// use human_check_explain::{Case, explain};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let line = br#"{
///     "name": "ticket 17", "provider": "turnstile", "status": 200,
///     "body": "{\"success\":false,\"error-codes\":[\"timeout-or-duplicate\"]}"
/// }"#;
/// let explanation = explain(Case::from_json(line)?).await?;
/// assert_eq!(explanation.name.as_deref(), Some("ticket 17"));
/// assert_eq!(explanation.reason.as_deref(), Some("expired-or-replayed"));
/// # Ok::<(), String>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// A name of the caller's choice. The [`Explanation`](crate::Explanation) repeats it.
    #[serde(default)]
    pub name: Option<String>,
    /// The provider that sent the reply. ALTCHA sends none.
    pub provider: ProviderKind,
    /// The HTTP status of the reply, 100 to 999.
    pub status: u16,
    /// The HTTP headers of the reply, such as `retry-after`. Default: none.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// The body of the reply, as text, or in base64 when [`enc`](Self::enc) is `b64`.
    #[serde(deserialize_with = "null_is_empty")]
    pub body: String,
    /// The encoding of the body: `b64` for base64. Default: text.
    #[serde(default)]
    pub enc: Option<String>,
    /// The rules of the route. Default: no rules.
    #[serde(default)]
    pub policy: Option<Rules>,
    /// The time of the check, in RFC 3339, which ages of tokens are compared with. Default: now.
    #[serde(default)]
    pub now: Option<String>,
    /// The configured site key, which is compared with the one in the reply, where the reply names
    /// one. Default: the one in the reply.
    #[serde(default)]
    pub site_key: Option<String>,
    /// The token, for CaptchaLa, whose tokens have kinds. Default: a token of the usual kind.
    #[serde(default)]
    pub token: Option<String>,
}

/// The names of the members of a case.
const MEMBERS: [&str; 10] = [
    "name", "provider", "status", "headers", "body", "enc", "policy", "now", "site_key", "token",
];

impl Case {
    /// Reads a case from JSON, such as one line of `human-check explain --jsonl`.
    ///
    /// Unknown members are ignored. A member whose name resembles a known member or a rule is an
    /// error, so that a misspelt rule is not silently missing.
    ///
    /// # Errors
    ///
    /// A message when the text is no case. It repeats names of members and no other text.
    pub fn from_json(line: &[u8]) -> Result<Self, String> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        // The strict reader rejects a member that occurs twice.
        let value: Value =
            json::object(line).map_err(|error| format!("the line is not valid JSON: {error}"))?;
        let Value::Object(members) = &value else {
            return Err("the line is not a JSON object".to_owned());
        };
        let rules = Rules::MEMBERS;
        let resembles = |name: &str, known: &str| {
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
            if known.any(|known| resembles(name, known)) {
                return Err(format!(
                    "`{name}` is not a known member; check its spelling, and write rules inside `policy`"
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
            return Err(
                "`provider` is missing or no text; name one, such as \"turnstile\"".to_owned(),
            );
        }
        serde_json::from_value(value).map_err(|error| without_texts(&error.to_string()))
    }

    /// Creates a case without rules, for a reply with this status and body.
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

/// Returns an error message of serde without texts of the input. Texts stand in quotes, and an
/// unknown variant in backticks.
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

/// Reads `null` as an empty text.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
