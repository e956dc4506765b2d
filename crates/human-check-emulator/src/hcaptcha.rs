//! hcaptcha.md section 12.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, rfc3339};

const LIFE: u64 = 120;
const DUMMY_SECRET: &str = "0x0000000000000000000000000000000000000000";

/// A testing token, its site key, its score and reason.
type Dummy = (&'static str, &'static str, Option<(u8, &'static str)>);

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

pub(crate) fn siteverify(state: &mut State, request: &RecordedRequest) -> Outgoing {
    if request.method != "POST" {
        return Outgoing::text(405, "text/plain", "");
    }
    let fields = match request.content_type() {
        "application/x-www-form-urlencoded" => request.form(),
        _ => Vec::new(),
    };
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
    // A secret belongs to an account, which may have several sites.
    let account: Vec<_> = state
        .sites
        .iter()
        .filter(|site| site.provider == "hcaptcha" && site.secret == secret)
        .map(|site| site.site_key.clone())
        .collect();
    if account.is_empty() {
        return refused(&["invalid-input-secret"]);
    }
    if let Some(code) = malformed {
        return refused(&[code]);
    }
    if !account.contains(&token.site_key) || site_key.is_some_and(|key| key != token.site_key) {
        return refused(&["sitekey-secret-mismatch"]);
    }
    if token.redeemed.is_some() {
        return refused(&["already-seen-response"]);
    }
    if state.is_older(&token, LIFE) {
        return refused(&["expired-input-response"]);
    }
    if !token.solved {
        return refused(&["invalid-input-response"]);
    }
    let mut answer = json!({
        "success": true,
        "challenge_ts": rfc3339(token.issued, true).replace('Z', "000Z"),
        "hostname": token.hostname,
    });
    if state.knobs.hcaptcha_enterprise || token.score.is_some() {
        let risk = token.score.unwrap_or(0.1);
        answer["sitekey"] = token.site_key.as_str().into();
        answer["score"] = risk.into();
        answer["score_reason"] = json!([if risk < 0.5 { "safe" } else { "bot" }]);
    } else {
        answer["credit"] = false.into();
    }
    if let Some(token) = state.token("hcaptcha", response) {
        token.redeemed = Some((None, Value::Null));
    }
    Outgoing::json(200, &answer)
}

/// Section 6. The stamp of a testing token lies two minutes ahead, as it was recorded.
fn dummy_token(state: &State, (_, site_key, score): Dummy, secret: &str) -> Outgoing {
    let stamp = rfc3339(state.now() + Duration::from_secs(120), true);
    let answer = match (secret == DUMMY_SECRET, score) {
        (false, _) => json!({
            "success": false, "credit": false, "hostname": "dummy-key-pass",
            "error-codes": ["not-using-dummy-secret"], "challenge_ts": stamp,
        }),
        (true, None) => json!({
            "success": true, "credit": false, "hostname": "dummy-key-pass", "challenge_ts": stamp,
        }),
        (true, Some((score, reason))) => json!({
            "success": true, "hostname": "dummy-key-pass", "sitekey": site_key,
            "challenge_ts": stamp, "score": score, "score_reason": [reason],
        }),
    };
    Outgoing::json(200, &answer)
}

fn refused(codes: &[&str]) -> Outgoing {
    Outgoing::json(200, &json!({"success": false, "error-codes": codes}))
}
