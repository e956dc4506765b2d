//! Reads vendors' replies offline and says what the library makes of them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use human_check_core::{
    Clock, ConfigError, Enforce, HumanCheck, Policy, Secret, Submission, TestingCredentials,
};
use human_check_http::{CannedTransport, Exchange, Limits, Reply, json, timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::answer::Answer;
use human_check_config::{EnterpriseKey, Setup, Vendor};

/// A reply and how it is to be read. The shape of one line of `explain --jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Comes back in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// Whose reply it is.
    pub provider: Vendor,
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
    pub fn new(provider: Vendor, status: u16, body: &[u8]) -> Self {
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

/// The rules of a case. Unknown ones are an error: a misspelt rule must not be a missing rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Hosts that may show the challenge.
    #[serde(default)]
    pub hostnames: Option<Vec<String>>,
    /// Apps that may show it.
    #[serde(default, alias = "packages")]
    pub apps: Option<Vec<String>>,
    /// The expected action.
    #[serde(default)]
    pub action: Option<String>,
    /// The lowest score, 1 = human.
    #[serde(default)]
    pub min_score: Option<f64>,
    /// The highest risk on the vendor's own scale.
    #[serde(default)]
    pub max_risk: Option<f64>,
    /// The highest age in seconds.
    #[serde(default)]
    pub max_age_s: Option<f64>,
    /// How far clocks may differ, in seconds.
    #[serde(default)]
    pub skew_s: Option<f64>,
    /// The expected cdata.
    #[serde(default)]
    pub cdata: Option<String>,
    /// The expected uid.
    #[serde(default)]
    pub uid: Option<String>,
    /// The kind of a reCAPTCHA Enterprise key.
    #[serde(default, alias = "mode")]
    pub key: Option<KeyName>,
    /// Whether answers to testing keys count.
    #[serde(default, alias = "test_keys_allowed")]
    pub allow_testing: Option<bool>,
    /// CaptchaLa: whether tokens of the backup service count.
    #[serde(default)]
    pub allow_offline: Option<bool>,
}

/// A kind of key; those of vendors with only one kind may be named and change nothing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum KeyName {
    /// Of reCAPTCHA Enterprise.
    Enterprise(EnterpriseKey),
    /// Of classic reCAPTCHA, where the provider says it already.
    Classic(ClassicKey),
}

/// A kind of classic key.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassicKey {
    /// v2.
    V2,
    /// v3.
    V3,
}

impl Rules {
    const MEMBERS: [&str; 16] = [
        "hostnames",
        "hostname",
        "apps",
        "packages",
        "action",
        "min_score",
        "max_risk",
        "max_age_s",
        "skew_s",
        "cdata",
        "uid",
        "key",
        "mode",
        "allow_testing",
        "test_keys_allowed",
        "allow_offline",
    ];

    /// The policy of these rules, without a score.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a rule is out of range.
    pub fn policy(&self) -> Result<Policy, ConfigError> {
        let mut policy = Policy::new();
        if self.hostnames.is_some() || self.apps.is_some() {
            let hostnames = self.hostnames.iter().flatten();
            policy = policy.with_hostnames_or_apps(hostnames, self.apps.iter().flatten())?;
        }
        if let Some(action) = &self.action {
            policy = policy.with_action(action);
        }
        if let Some(age) = self.max_age_s {
            policy = policy.with_max_age(seconds("max_age_s", age)?);
        }
        if let Some(skew) = self.skew_s {
            policy = policy.with_clock_skew(seconds("skew_s", skew)?);
        }
        if self.allow_testing == Some(true) {
            policy = policy.allowing_testing_credentials();
        }
        Ok(policy)
    }

    fn binding(&self) -> Result<Option<&String>, ConfigError> {
        match (&self.cdata, &self.uid) {
            (Some(_), Some(_)) => Err(ConfigError::new(
                "uid",
                "is given beside cdata",
                "give one of them",
            )),
            (cdata, uid) => Ok(cdata.as_ref().or(uid.as_ref())),
        }
    }

    pub(crate) fn submission(&self) -> Result<Submission, ConfigError> {
        let mut submission = Submission::new();
        if let Some(action) = &self.action {
            submission = submission.expecting_action(action.clone());
        }
        if let Some(binding) = self.binding()? {
            submission = submission.expecting_binding(binding);
        }
        Ok(submission)
    }

    fn key_belongs_to(&self, vendor: Vendor) -> bool {
        match self.key {
            None => true,
            Some(KeyName::Enterprise(_)) => vendor == Vendor::RecaptchaEnterprise,
            Some(KeyName::Classic(ClassicKey::V2)) => vendor == Vendor::RecaptchaV2,
            Some(KeyName::Classic(ClassicKey::V3)) => vendor == Vendor::RecaptchaV3,
        }
    }

    /// The kind of a reCAPTCHA Enterprise key.
    pub(crate) fn enterprise_key(&self) -> Option<EnterpriseKey> {
        match self.key {
            Some(KeyName::Enterprise(key)) => Some(key),
            _ => None,
        }
    }

    pub(crate) fn testing(&self) -> TestingCredentials {
        match self.allow_testing {
            Some(true) => TestingCredentials::Allowed,
            _ => TestingCredentials::Refused,
        }
    }
}

fn seconds(field: &'static str, value: f64) -> Result<Duration, ConfigError> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| ConfigError::new(field, format!("is {value}"), "write seconds, zero or more"))
}

#[derive(Debug)]
struct Fixed(SystemTime);

impl Clock for Fixed {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

/// Explains one case by running it through the vendor's adapter, with the reply in the vendor's place.
///
/// # Errors
///
/// A message when the case itself cannot be read. A check that the library refuses to build is an
/// answer, `misconfigured`.
pub async fn explain(case: Case) -> Result<Answer, String> {
    if case.provider == Vendor::Altcha {
        return Err(
            "`provider` is altcha, which sends no reply; `human-check verify --provider altcha` looks into an answer"
                .to_owned(),
        );
    }
    let reply = reply(&case)?;
    let now = match &case.now {
        None => SystemTime::now(),
        Some(text) => {
            timestamp(text).ok_or_else(|| format!("`now` is {text:?}, not an RFC 3339 time"))?
        }
    };
    let rules = case.policy.unwrap_or_default();
    if !rules.key_belongs_to(case.provider) {
        return Err(format!(
            "`key` is not a kind of key that {} has",
            case.provider.provider()
        ));
    }
    let thresholds = [
        ("min_score", rules.min_score, 1.0),
        ("max_risk", rules.max_risk, 100.0),
    ];
    for (name, value, most) in thresholds {
        if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
            return Err(format!("`{name}` is outside 0 to {most}"));
        }
    }
    // Rules that are wrong in themselves are the question's fault; rules that do not fit the
    // vendor are an answer.
    let mut policy = rules.policy().map_err(|e| e.to_string())?;
    let submission = rules.submission().map_err(|e| e.to_string())?;
    let token = case.token.unwrap_or_else(|| "pt_explained".to_owned());
    let submission = submission.with_token(case.provider.provider(), token);

    let mut setup = Setup::new(case.provider);
    // Without a site key of ours there is nothing to compare the reply's with.
    let site_key = case.site_key.or_else(|| named_site_key(&reply));
    setup.site_key = Some(site_key.unwrap_or_else(|| "explained".to_owned()));
    setup.secret = Some(Secret::new("explained-offline").map_err(|e| e.to_string())?);
    setup.project = Some("explained".to_owned());
    setup.testing = rules.testing();
    setup.max_risk = rules.max_risk;
    setup.min_score = rules.min_score;
    setup.offline = rules.allow_offline == Some(true);
    setup.key = rules.enterprise_key();
    match (case.provider, setup.min_score, setup.key) {
        // Without a threshold every score passes.
        (Vendor::RecaptchaV3, None, _) => setup.min_score = Some(0.0),
        (Vendor::RecaptchaEnterprise, None, Some(EnterpriseKey::Score)) => {
            setup.min_score = Some(0.0);
        }
        // Without a threshold or a kind the token's validity decides.
        (Vendor::RecaptchaEnterprise, None, None) => setup.key = Some(EnterpriseKey::Checkbox),
        _ => {}
    }
    if let Some(score) = setup.policy_score().map_err(|e| e.to_string())? {
        policy = policy.with_min_score(score);
    }

    let mut limits = Limits::default();
    // Under the shortest pause before a second attempt: the same reply would come again.
    limits.total = Duration::from_millis(40);
    let exchange = Exchange::new(CannedTransport::always(reply)).with_limits(limits);
    let check = setup
        .build(&exchange)
        .and_then(|check| Enforce::new(check, policy))
        .map(|check| check.with_clock(Fixed(now)));
    Ok(match check {
        Ok(check) => Answer::new(case.name, &check.check(&submission).await),
        Err(error) => Answer::misconfigured(case.name, &error),
    })
}

fn reply(case: &Case) -> Result<Reply, String> {
    if !(100..=999).contains(&case.status) {
        return Err(format!("`status` is {}, not an HTTP status", case.status));
    }
    let body = match case.enc.as_deref() {
        None => case.body.clone().into_bytes(),
        Some("b64") => STANDARD
            .decode(&case.body)
            .map_err(|_| "`body` is not base64, as `enc` says".to_owned())?,
        Some(other) => return Err(format!("`enc` is {other:?}; only `b64` is known")),
    };
    let mut reply = Reply::new(case.status, body);
    for (name, value) in case.headers.iter().flatten() {
        let bad = || format!("`headers` holds {name:?}, which cannot be an HTTP header");
        let name = name.parse().map_err(|_| bad())?;
        reply = reply.with_header(name, value.parse().map_err(|_| bad())?);
    }
    Ok(reply)
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

fn named_site_key(reply: &Reply) -> Option<String> {
    let members: Value = serde_json::from_slice(reply.body()).ok()?;
    let named = members.get("sitekey")?.as_str()?;
    (!named.trim().is_empty()).then(|| named.to_owned())
}
