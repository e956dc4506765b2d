//! What a configuration file may say, key by key. Nothing here is checked beyond its shape.

use std::collections::BTreeMap;
use std::fmt;

use human_check_altcha::Difficulty;
use human_check_guard::OnOutage;
use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::{EnterpriseKey, Vendor};

/// How human-check stands in front of an application: vendors, how they work together, and routes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The vendors, each by a name of yours. Those that nothing refers to are not set up.
    pub(crate) vendors: BTreeMap<String, VendorTable>,
    /// Who is asked, and in which order.
    pub(crate) check: CheckTable,
    /// Remembers tokens that passed, so that each passes once.
    pub(crate) single_use: Option<StoreTable>,
    /// Where attempts are counted, for routes that challenge only after some. Default: in memory.
    pub(crate) attempts: Option<StoreTable>,
    /// What all routes share.
    #[serde(default)]
    pub(crate) site: SiteTable,
    /// The routes, each by the name that the application, logs and metrics know it by.
    pub(crate) routes: BTreeMap<String, RouteTable>,
}

/// The vendors of a file, whatever else is in it.
#[derive(Debug, Deserialize)]
pub(crate) struct VendorTables {
    pub(crate) vendors: BTreeMap<String, VendorTable>,
}

/// One account with one vendor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VendorTable {
    /// Which vendor.
    pub(crate) provider: Vendor,
    /// The public key, which pages show. For altcha the address that pages fetch challenges from,
    /// by default `/human-check-altcha/challenge`.
    pub(crate) site_key: Option<String>,
    /// Where the secret is. Default: the variable `HUMAN_CHECK_SECRET_…` with this vendor's name
    /// in capitals.
    pub(crate) secret: Option<SecretRef>,
    /// Where the secret before that one is, whose challenges still pass. altcha only.
    pub(crate) previous_secret: Option<SecretRef>,
    /// A name of the site, which is signed into challenges. Required for altcha, and only there.
    pub(crate) site: Option<String>,
    /// How much work a challenge is: light, standard (default) or sha. altcha only.
    pub(crate) difficulty: Option<DifficultyName>,
    /// How long a challenge can be answered, in seconds. Default 300. altcha only.
    pub(crate) challenge_life_s: Option<u64>,
    /// The Google Cloud project. reCAPTCHA Enterprise only.
    pub(crate) project: Option<String>,
    /// What kind of key it is. reCAPTCHA Enterprise only.
    pub(crate) enterprise_key: Option<EnterpriseKey>,
    /// The lowest score, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// The highest risk on the vendor's own scale: hCaptcha Enterprise 0 to 1, CaptchaLa 0 to 100.
    pub(crate) max_risk: Option<f64>,
    /// The hosts that may show this vendor's challenge.
    pub(crate) hostnames: Option<Vec<String>>,
    /// Let the vendor's published testing keys work. Never in production.
    #[serde(default)]
    pub(crate) allow_testing_keys: bool,
    /// Ask CaptchaLa's backup service about its tokens.
    #[serde(default)]
    pub(crate) accept_offline_tokens: bool,
    /// An emulator to ask instead of the vendor.
    pub(crate) base_url: Option<String>,
    /// The form fields that the answer arrives in, where the page renames them.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// How many checks may be under way at once. Default 512.
    pub(crate) in_flight: Option<usize>,
    /// When to stop asking for a while.
    pub(crate) breaker: Option<BreakerTable>,
}

/// How much work a challenge is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DifficultyName {
    /// Hardly noticeable.
    Light,
    /// For browsers that can do nothing else.
    Sha,
    /// What a sign-up form can ask for.
    Standard,
}

impl From<DifficultyName> for Difficulty {
    fn from(name: DifficultyName) -> Self {
        match name {
            DifficultyName::Light => Self::light(),
            DifficultyName::Sha => Self::sha(),
            DifficultyName::Standard => Self::standard(),
        }
    }
}

/// When to stop asking a vendor for a while. What is left out has its default.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakerTable {
    /// Failures in a row. Default 5.
    pub(crate) consecutive: Option<u32>,
    /// The share of calls that failed or were slow, from 0 to 1. Default 0.5.
    pub(crate) share: Option<f64>,
    /// How many calls there must be before the share counts. Default 20.
    pub(crate) calls: Option<u32>,
    /// How far back calls count, in milliseconds. Default 30000.
    pub(crate) window_ms: Option<u64>,
    /// When an answer is slow, in milliseconds. Default 1500.
    pub(crate) slow_ms: Option<u64>,
    /// How long to stop at first, in milliseconds. Default 5000.
    pub(crate) open_ms: Option<u64>,
    /// How long to stop at most, in milliseconds. Default 60000.
    pub(crate) longest_open_ms: Option<u64>,
}

/// Who is asked, and in which order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckTable {
    /// The vendor that decides.
    #[serde(rename = "use")]
    pub(crate) vendor: String,
    /// The vendor that is asked when that one is unavailable. Pages show both widgets.
    pub(crate) failover: Option<String>,
    /// Ask it, too, when the first answers but will not judge. Whoever burns its quota then chooses.
    #[serde(default)]
    pub(crate) failover_when_declined: bool,
    /// A vendor whose answers are still accepted.
    pub(crate) accept: Option<AcceptTable>,
    /// A vendor whose opinion is compared and decides nothing.
    pub(crate) shadow: Option<ShadowTable>,
    /// How long a decision may take, in milliseconds, failover included. Default 3000.
    pub(crate) deadline_ms: Option<u64>,
}

impl CheckTable {
    /// The names of all that have a role.
    pub(crate) fn vendors(&self) -> Vec<&str> {
        let accept = self.accept.as_ref().map(|accept| &accept.vendor);
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.vendor);
        let others = [self.failover.as_ref(), accept, shadow];
        let all = std::iter::once(&self.vendor).chain(others.into_iter().flatten());
        all.map(String::as_str).collect()
    }
}

/// A vendor whose answers are still accepted beside those of the one in use.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptTable {
    /// Which.
    pub(crate) vendor: String,
    /// When that ends: a date (its first moment, UTC) or a date and time with an offset.
    #[schemars(with = "Option<String>")]
    pub(crate) until: Option<toml::value::Datetime>,
    /// Show its widget on new pages, too. Both answers must then hold. Default false.
    #[serde(default)]
    pub(crate) show: bool,
}

/// A vendor whose opinion is compared and decides nothing. Pages show its widget, too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowTable {
    /// Which.
    pub(crate) vendor: String,
    /// The file that comparisons are appended to, one JSON object a line.
    pub(crate) file: String,
    /// The share of visitors that is compared, from 0 to 1. Default 1.
    pub(crate) sample: Option<f64>,
    /// How many comparisons may be under way. Default 64.
    pub(crate) in_flight: Option<usize>,
    /// How long the second opinion may take, in milliseconds. Default 5000.
    pub(crate) deadline_ms: Option<u64>,
}

/// Where something is remembered.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreTable {
    /// In this process, or on a server that several share.
    pub(crate) store: StoreKind,
    /// How many entries fit into memory. Default 1000000.
    pub(crate) capacity: Option<usize>,
    /// The server, as redis:// or rediss:// URL, which may hold a password. Default: the variable
    /// `HUMAN_CHECK_REDIS_URL`.
    pub(crate) url: Option<SecretRef>,
    /// The secret that digests are keyed by, the same on all machines. Default: the variable
    /// `HUMAN_CHECK_DIGEST_SECRET`.
    pub(crate) digest_secret: Option<SecretRef>,
    /// What keys on the server begin with.
    pub(crate) prefix: Option<String>,
}

/// Where a store is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoreKind {
    /// In this process. Another process knows nothing of it.
    Memory,
    /// On a Redis or Valkey server.
    Redis,
}

/// What all routes share.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteTable {
    /// The header that scripts send a token in. Default X-Captcha-Token.
    pub(crate) header: Option<String>,
    /// Where the visitor's address comes from: socket (default), x-forwarded-for, forwarded,
    /// cloudflare, or the name of a header with one address.
    pub(crate) client_address: Option<String>,
    /// The networks of the proxies that may write it.
    #[serde(default)]
    pub(crate) trusted_proxies: Vec<String>,
    /// The header with the visitor's country.
    pub(crate) country_header: Option<String>,
    /// The largest form or JSON body, in bytes.
    pub(crate) body_cap: Option<usize>,
    /// How long such a body may take, in seconds.
    pub(crate) body_deadline_s: Option<u64>,
    /// The largest multipart body, in bytes.
    pub(crate) upload_cap: Option<usize>,
    /// How long a multipart body may take, in seconds.
    pub(crate) upload_deadline_s: Option<u64>,
}

/// How the schema shows a decision.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only its shape is used")]
enum Decision {
    /// Everybody is refused.
    Refuse,
    /// Everybody is let in, unproven.
    LetIn,
}

/// What one kind of route asks for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTable {
    /// What happens while no vendor can be asked: refuse, or let-in.
    #[schemars(with = "Decision")]
    pub(crate) on_outage: OnOutage,
    /// What happens while a vendor answers but will not judge. An attacker can bring it about.
    /// Default refuse.
    #[schemars(with = "Option<Decision>")]
    pub(crate) on_declined: Option<OnOutage>,
    /// What happens while the store of spent tokens fails. Default refuse.
    #[schemars(with = "Option<Decision>")]
    pub(crate) on_unclaimed: Option<OnOutage>,
    /// Nothing may be let in on a wrong configuration; the key is known so that its error says so.
    #[schemars(skip)]
    pub(crate) on_misconfigured: Option<OnOutage>,
    /// The same for an answer without sense.
    #[schemars(skip)]
    pub(crate) on_protocol: Option<OnOutage>,
    /// The action that the challenge must have been solved for.
    pub(crate) action: Option<String>,
    /// The hosts that may show the challenge.
    pub(crate) hostnames: Option<Vec<String>>,
    /// The lowest score, where 1 is human.
    pub(crate) min_score: Option<f64>,
    /// How old a solved challenge may be, in seconds.
    pub(crate) max_age_s: Option<u64>,
    /// Decide and log, and refuse nobody. Default false.
    #[serde(default)]
    pub(crate) observe_only: bool,
    /// When to ask for a challenge. Default: always. Any of the rules is enough.
    pub(crate) challenge: Option<ChallengeTable>,
}

/// When a visitor is asked for a challenge.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChallengeTable {
    /// After so many requests of an address within the window.
    pub(crate) after_requests: Option<u32>,
    /// How long that window is, in seconds. Default 600.
    pub(crate) window_s: Option<u64>,
    /// When the user agent holds one of these.
    #[serde(default)]
    pub(crate) user_agent_contains: Vec<String>,
    /// When the visitor comes from one of these countries. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_in: Vec<String>,
    /// When the visitor comes from none of these countries. Needs `site.country_header`.
    #[serde(default)]
    pub(crate) country_outside: Vec<String>,
}

/// Where a secret is. Never the secret itself.
#[derive(Clone, Debug, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecretRef {
    /// In this environment variable.
    Env(String),
    /// In this file, alone.
    File(String),
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand, so that no message can show a secret that was written in the wrong place.
        struct Reference;

        impl<'de> Visitor<'de> for Reference {
            type Value = SecretRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"{ env = "NAME" } or { file = "/path" }"#)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<SecretRef, E> {
                Err(E::custom(
                    r#"holds the secret itself; write { env = "NAME" } or { file = "/path" }"#,
                ))
            }

            // A secret of digits, which TOML takes for a number.
            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretRef, E> {
                self.visit_str("")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Table {
                    env: Option<String>,
                    file: Option<String>,
                }
                match Table::deserialize(MapAccessDeserializer::new(map))? {
                    Table {
                        env: Some(name),
                        file: None,
                    } => Ok(SecretRef::Env(name)),
                    Table {
                        env: None,
                        file: Some(path),
                    } => Ok(SecretRef::File(path)),
                    _ => Err(A::Error::custom(
                        r#"names no one place; write { env = "NAME" } or { file = "/path" }"#,
                    )),
                }
            }
        }

        deserializer.deserialize_any(Reference)
    }
}
