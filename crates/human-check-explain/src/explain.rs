use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use human_check_config::{EnterpriseKeyKind, ProviderConfig, ProviderKind};
use human_check_core::{Clock, Enforce, HumanCheck, Secret};
use human_check_http::adapter::timestamp;
use human_check_http::{Endpoint, Limits, MockTransport, ProviderClient, Reply};
use serde_json::Value;

use crate::{Case, Explanation};

/// A clock that stands still at the time of the case.
#[derive(Debug)]
struct FixedClock(SystemTime);

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }
}

/// Judges a recorded reply with the adapter that production uses, and explains the outcome. It
/// sends nothing.
///
/// Needs a tokio runtime with its timer. Dropping the future has no effect.
///
/// ```
/// use human_check_config::ProviderKind;
/// use human_check_explain::{Case, Rules, explain};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let reply = br#"{"success":true,"score":0.3,"action":"login"}"#;
/// let mut case = Case::new(ProviderKind::RecaptchaV3, 200, reply);
/// case.policy = Some(Rules { min_score: Some(0.5), ..Rules::default() });
/// let explanation = explain(case).await?;
/// assert_eq!(explanation.outcome, "not-human");
/// assert_eq!(explanation.reason.as_deref(), Some("score-too-low"));
/// # Ok::<(), String>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A message when the case itself is wrong. A configuration that the library refuses is no error:
/// the outcome is `misconfigured`.
pub async fn explain(case: Case) -> Result<Explanation, String> {
    // Which kinds there are depends on the features of the program.
    if case.provider.as_str() == "siteverify" {
        return Err(
            "`provider` is siteverify, whose dialect a case cannot state; judge a token with `human-check verify --config FILE`"
                .to_owned(),
        );
    }
    if case.provider == ProviderKind::Altcha {
        return Err(
            "`provider` is altcha, which sends no reply; judge a token with `human-check verify --provider altcha`"
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
    for (name, value, max) in thresholds {
        if value.is_some_and(|value| !(0.0..=max).contains(&value)) {
            return Err(format!("`{name}` is outside 0 to {max}"));
        }
    }
    // Invalid rules are an error of the case. Rules that do not fit the provider are an outcome,
    // `misconfigured`.
    let mut policy = rules.policy().map_err(|e| e.to_string())?;
    let submission = rules.submission().map_err(|e| e.to_string())?;
    let token = case.token.unwrap_or_else(|| "pt_explained".to_owned());
    let submission = submission.with_token(case.provider.provider(), token);

    let mut config = ProviderConfig::new(case.provider);
    // Without a configured site key, the one in the reply is used, so that the comparison succeeds.
    let site_key = case.site_key.or_else(|| named_site_key(&reply));
    config.site_key = Some(site_key.unwrap_or_else(|| "explained".to_owned()));
    config.secret = Some(Secret::new("explained-offline").map_err(|e| e.to_string())?);
    config.project = Some("explained".to_owned());
    if matches!(case.provider.as_str(), "cap" | "mcaptcha") {
        let instance = Endpoint::parse("https://captcha.example").map_err(|e| e.to_string())?;
        config.instance = Some(instance);
    }
    config.test_keys = rules.test_keys();
    config.max_risk = rules.max_risk;
    config.min_score = rules.min_score;
    config.accept_offline_tokens = rules.allow_offline == Some(true);
    config.enterprise_key = rules.enterprise_key();
    match (case.provider, config.min_score, config.enterprise_key) {
        // Without a threshold every score passes.
        (ProviderKind::RecaptchaV3, None, _) => config.min_score = Some(0.0),
        (
            ProviderKind::RecaptchaEnterprise,
            None,
            Some(EnterpriseKeyKind::Score | EnterpriseKeyKind::Challenge),
        ) => {
            config.min_score = Some(0.0);
        }
        // Without a threshold or a kind the token's validity decides.
        (ProviderKind::RecaptchaEnterprise, None, None) => {
            config.enterprise_key = Some(EnterpriseKeyKind::Checkbox);
        }
        _ => {}
    }
    if let Some(score) = config.policy_score().map_err(|e| e.to_string())? {
        policy = policy.with_min_score(score);
    }

    let mut limits = Limits::default();
    // Shorter than the pause before a second attempt, which would get the same reply.
    limits.total_timeout = Duration::from_millis(40);
    let client = ProviderClient::new(MockTransport::always(reply)).with_limits(limits);
    let check = config
        .build(&client)
        .and_then(|check| Enforce::new(check, policy))
        .map(|check| check.with_clock(FixedClock(now)));
    Ok(match check {
        Ok(check) => Explanation::new(case.name, &check.check(&submission).await),
        Err(error) => Explanation::misconfigured(case.name, &error),
    })
}

/// Builds the reply of a case.
///
/// # Errors
///
/// A message when status, body or headers are invalid.
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

/// Returns the site key that the reply names.
fn named_site_key(reply: &Reply) -> Option<String> {
    let members: Value = serde_json::from_slice(reply.body()).ok()?;
    let named = members.get("sitekey")?.as_str()?;
    (!named.trim().is_empty()).then(|| named.to_owned())
}
