use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::duration;

/// A part that a process is not ready without.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReadinessPart {
    /// An account of each route.
    Accounts,
    /// The attempt store.
    AttemptStore,
    /// The replay store.
    ReplayStore,
}

/// The settings that all routes share.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteTable {
    /// The header that scripts send a token in. Default X-Captcha-Token.
    pub(crate) header: Option<String>,
    /// Where the client's address comes from: socket (default), x-forwarded-for, forwarded,
    /// cloudflare, or the name of a header with one address.
    pub(crate) client_address: Option<String>,
    /// The addresses and networks of the proxies that write the header with the client's address.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<String>,
    /// The header with the client's country. It counts in requests from trusted proxies only.
    pub(crate) country_header: Option<String>,
    /// The largest form or JSON body, in bytes. Default 65536.
    pub(crate) max_body_bytes: Option<usize>,
    /// How long a form or JSON body may take to arrive. Default "5s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) body_timeout: Option<Duration>,
    /// The largest multipart body, in bytes. Default 2097152.
    pub(crate) max_upload_bytes: Option<usize>,
    /// How long a multipart body may take to arrive. Default "60s".
    #[serde(default, deserialize_with = "duration::optional")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub(crate) upload_timeout: Option<Duration>,
    /// The most bytes of large bodies that are held in memory for all requests together. Default
    /// 134217728.
    pub(crate) max_held_bytes: Option<usize>,
    /// After how many refusals for one reason, without a token that passes, a warning says that the
    /// configuration may be wrong. 0 for never. Default 20.
    pub(crate) refusals_before_warning: Option<u32>,
    /// The parts that this process is not ready without: `replay_store`, `attempt_store`,
    /// `accounts`. Default: none.
    #[serde(default)]
    pub(crate) readiness: Vec<ReadinessPart>,
    /// The languages of refusals and the page script, the default first. Default: all that are known.
    pub(crate) languages: Option<Vec<String>>,
    /// Texts of refusals and the page script, by language and name.
    #[serde(default)]
    pub(crate) texts: BTreeMap<String, BTreeMap<String, String>>,
}
