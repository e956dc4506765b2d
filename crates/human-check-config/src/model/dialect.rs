use std::collections::BTreeMap;

use serde::Deserialize;

/// The siteverify call of a provider without a kind of its own: where request and reply hold what.
/// A key that is left out is as in the call of reCAPTCHA v2.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectTable {
    /// The URL of the call.
    pub(crate) url: String,
    /// Whether the request is JSON instead of a form. Default false.
    #[serde(default)]
    pub(crate) json: bool,
    /// The header that carries the secret. Default: the secret is a member of the request.
    pub(crate) secret_header: Option<String>,
    /// The member of the request with the secret. Default "secret".
    pub(crate) secret_member: Option<String>,
    /// The member of the request with the token. Default "response".
    pub(crate) token_member: Option<String>,
    /// The member of the request with the visitor's address, or an empty text to leave it out.
    /// Default "remoteip".
    pub(crate) client_ip_member: Option<String>,
    /// Further members of each request, such as the site key.
    #[serde(default)]
    pub(crate) constants: BTreeMap<String, String>,
    /// The path of the member of the reply with the verdict, such as "data.valid". Default
    /// "success".
    pub(crate) success_at: Option<String>,
    /// The text with which that member says yes. Default: it is a boolean.
    pub(crate) success_text: Option<String>,
    /// The path of the member of the reply with the codes. Default `error-codes`.
    pub(crate) codes_at: Option<String>,
    /// What each code means: ignored, misconfigured, declined, unavailable, or a reason of a
    /// refusal (expired, expired-or-replayed, invalid, malformed, missing, other, replayed,
    /// wrong-site-key). A code without a meaning refuses.
    #[serde(default)]
    pub(crate) codes: BTreeMap<String, String>,
    /// What each status means, with the values of `codes`. It holds for every reply of the status.
    #[serde(default)]
    pub(crate) statuses: BTreeMap<String, String>,
    /// The path of the member of the reply with the host, or an empty text to read none. Default
    /// "hostname".
    pub(crate) hostname_at: Option<String>,
    /// The path of the member of the reply with the action. Default: none is read.
    pub(crate) action_at: Option<String>,
    /// The path of the member of the reply with the time of solving, or an empty text to read none.
    /// Default `challenge_ts`.
    pub(crate) solved_at: Option<String>,
    /// The path of the member of the reply with the score. Default: none is read.
    pub(crate) score_at: Option<String>,
    /// The highest value of a score that measures a risk, where 0 is human. Default: the score is
    /// from 0 (bot) to 1 (human).
    pub(crate) score_max_risk: Option<f64>,
    /// The longest token, in bytes, from 1 to 16384. Default 8192.
    pub(crate) max_token_bytes: Option<usize>,
    /// The first character of tokens of an unsolved challenge. Default: none.
    pub(crate) unsolved_prefix: Option<char>,
    /// How pages show the widget. Default: pages write it themselves.
    pub(crate) widget: Option<MarkupTable>,
}

/// The widget of a provider without a kind of its own.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkupTable {
    /// The URL of the script, or its path on the site itself.
    pub(crate) script: String,
    /// The class by which the script finds the element.
    pub(crate) class: String,
    /// The attribute of the element with the site key. Default `data-sitekey`.
    pub(crate) site_key_attribute: Option<String>,
    /// Whether the script is a JavaScript module. Default false.
    #[serde(default)]
    pub(crate) module: bool,
    /// The object of the page whose functions `render(element, options)` and `reset(id)` show the widget,
    /// as those of reCAPTCHA do, such as "acme". Default: the script finds the element by its class.
    pub(crate) render: Option<String>,
    /// The function of the page that starts an element which was added later, such as "acme.attach".
    /// Default: the page script loads the script of the widget again.
    pub(crate) attach: Option<String>,
    /// The hosts of frames that the script opens, as `https://host`.
    #[serde(default)]
    pub(crate) frames: Vec<String>,
    /// The hosts that the script connects to, as `https://host`.
    #[serde(default)]
    pub(crate) connects: Vec<String>,
}
