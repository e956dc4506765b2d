//! hCaptcha's siteverify service: `POST /siteverify`.
//!
//! The body must be a form, urlencoded or multipart. Any other body counts as empty. A token is valid once, for 120 seconds.
//! The published testing tokens and the testing secret reply as recorded from the service.
//!
//! See docs/providers/hcaptcha.md#request and docs/providers/hcaptcha.md#reply.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, rfc3339};

/// The ttl of a token, in seconds. See docs/providers/hcaptcha.md#tokens.
const TTL: u64 = 120;
/// The published testing secret.
const DUMMY_SECRET: &str = "0x0000000000000000000000000000000000000000";

/// A testing token, its site key, and its score with the reason.
type Dummy = (&'static str, &'static str, Option<(u8, &'static str)>);

/// The published testing tokens. See docs/providers/hcaptcha.md#test-keys.
const DUMMIES: [Dummy; 3] = [
    (
        "10000000-aaaa-bbbb-cccc-000000000001",
        "10000000-ffff-ffff-ffff-000000000001",
        None,
    ),
    (
        "20000000-aaaa-bbbb-cccc-000000000002",
        "20000000-ffff-ffff-ffff-000000000002",
        Some((0, "safe")),
    ),
    (
        "30000000-aaaa-bbbb-cccc-000000000003",
        "30000000-ffff-ffff-ffff-000000000003",
        Some((1, "bot")),
    ),
];

/// Verifies a token.
pub(crate) fn siteverify(state: &mut State, request: &RecordedRequest) -> Outgoing {
    if request.method != "POST" {
        return Outgoing::text(405, "text/plain", "");
    }
    let fields = request.form_of_its_type();
    let field = |name: &str| {
        fields
            .iter()
            .find_map(|(n, value)| (n == name && !value.is_empty()).then_some(value.as_str()))
    };
    let missing: Vec<&str> = [
        ("response", "missing-input-response"),
        ("secret", "missing-input-secret"),
    ]
    .into_iter()
    .filter_map(|(name, code)| field(name).is_none().then_some(code))
    .collect();
    let (Some(response), Some(secret)) = (field("response"), field("secret")) else {
        return refused(&missing);
    };
    let site_key = field("sitekey");
    let malformed = if site_key.is_some_and(|key| uuid::Uuid::try_parse(key).is_err()) {
        Some("invalid-sitekey")
    } else if field("remoteip").is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
        Some("invalid-remoteip")
    } else {
        None
    };
    if let Some(dummy) = DUMMIES.iter().find(|dummy| dummy.0 == response) {
        return match malformed {
            Some(code) => refused(&[code]),
            None => dummy_token(state, *dummy, secret),
        };
    }
    let Some(token) = state.token("hcaptcha", response).cloned() else {
        return refused(&["invalid-input-response"]);
    };
    if secret == DUMMY_SECRET {
        return refused(&["not-using-dummy-passcode"]);
    }
    // Several site keys may share one secret.
    let site_keys: Vec<_> = state
        .accounts
        .iter()
        .filter(|account| account.provider == "hcaptcha" && account.secret == secret)
        .map(|account| account.site_key.clone())
        .collect();
    if site_keys.is_empty() {
        return refused(&["invalid-input-secret"]);
    }
    if let Some(code) = malformed {
        return refused(&[code]);
    }
    if !site_keys.contains(&token.site_key) || site_key.is_some_and(|key| key != token.site_key) {
        return refused(&["sitekey-secret-mismatch"]);
    }
    if token.redeemed.is_some() {
        return refused(&["already-seen-response"]);
    }
    if state.is_older(&token, TTL) {
        return refused(&["expired-input-response"]);
    }
    if !token.solved {
        return refused(&["invalid-input-response"]);
    }
    let mut body = json!({
        "success": true,
        "challenge_ts": rfc3339(token.issued, true).replace('Z', "000Z"),
        "hostname": token.hostname,
    });
    if state.knobs.hcaptcha_enterprise || token.score.is_some() {
        let risk = token.score.unwrap_or(0.1);
        body["sitekey"] = token.site_key.as_str().into();
        body["score"] = risk.into();
        body["score_reason"] = json!([if risk < 0.5 { "safe" } else { "bot" }]);
    } else {
        body["credit"] = false.into();
    }
    if let Some(token) = state.token("hcaptcha", response) {
        token.redeemed = Some((None, Value::Null));
    }
    Outgoing::json(200, &body)
}

/// Returns the reply to a testing token.
///
/// Its `challenge_ts` is two minutes in the future, as in recorded replies of the service.
fn dummy_token(state: &State, (_, site_key, score): Dummy, secret: &str) -> Outgoing {
    let challenge_ts = rfc3339(state.now() + Duration::from_secs(120), true);
    let body = match (secret == DUMMY_SECRET, score) {
        (false, _) => json!({
            "success": false, "credit": false, "hostname": "dummy-key-pass",
            "error-codes": ["not-using-dummy-secret"], "challenge_ts": challenge_ts,
        }),
        (true, None) => json!({
            "success": true, "credit": false, "hostname": "dummy-key-pass", "challenge_ts": challenge_ts,
        }),
        (true, Some((score, reason))) => json!({
            "success": true, "hostname": "dummy-key-pass", "sitekey": site_key,
            "challenge_ts": challenge_ts, "score": score, "score_reason": [reason],
        }),
    };
    Outgoing::json(200, &body)
}

/// Creates the reply that refuses a token with these error codes.
fn refused(codes: &[&str]) -> Outgoing {
    Outgoing::json(200, &json!({"success": false, "error-codes": codes}))
}
