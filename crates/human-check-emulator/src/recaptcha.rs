//! The siteverify service of reCAPTCHA v2 and v3: `/recaptcha/api/siteverify`.
//!
//! The parameters may be in a form, in a multipart body or in the query. A parameter that occurs twice
//! is a `bad-request`. A token is valid once, for 120 seconds. The secret decides whether the reply is
//! one of v2 or of v3.
//!
//! See docs/providers/recaptcha.md#request and docs/providers/recaptcha.md#reply.

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, rfc3339};

/// The ttl of a token, in seconds. See docs/providers/recaptcha.md#tokens.
const TTL: u64 = 120;
/// The published testing secret of v2. See docs/providers/recaptcha.md#test-keys.
const TESTING_SECRET: &str = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
const V2: &str = "recaptcha-v2";
const V3: &str = "recaptcha-v3";

/// Verifies a token. The members may be in the body or in the query.
pub(crate) fn siteverify(state: &mut State, request: &RecordedRequest) -> Outgoing {
    // The service reads no other content type, JSON included.
    let mut fields = request.form_of_its_type();
    fields.extend(request.query_pairs());
    let all = |name: &str| -> Vec<&str> {
        fields
            .iter()
            .filter_map(|(n, value)| (n == name).then_some(value.as_str()))
            .collect()
    };
    if ["secret", "response", "remoteip"]
        .iter()
        .any(|name| all(name).len() > 1)
    {
        return refused(&["bad-request"]);
    }
    let field = |name: &str| all(name).first().copied().filter(|value| !value.is_empty());
    let (response, secret) = (field("response"), field("secret"));
    let testing = secret == Some(TESTING_SECRET);
    let account = secret.and_then(|secret| {
        let v2 = state.account_by_secret(V2, secret);
        v2.or_else(|| state.account_by_secret(V3, secret))
    });
    let token = response.and_then(|text| {
        let token = state.tokens.get(text)?;
        [V2, V3]
            .contains(&token.provider.as_str())
            .then(|| token.clone())
    });
    let mut codes = Vec::new();
    match response {
        None => codes.push("missing-input-response"),
        Some(_) if token.is_none() && !testing => codes.push("invalid-input-response"),
        Some(_) => {}
    }
    match secret {
        None => codes.push("missing-input-secret"),
        Some(_) if account.is_none() && !testing => codes.push("invalid-input-secret"),
        Some(_) => {}
    }
    if !codes.is_empty() {
        return refused(&codes);
    }
    if testing {
        let body = json!({
            "success": true,
            "challenge_ts": rfc3339(state.now(), false),
            "hostname": "testkey.google.com",
        });
        return pretty(&body);
    }
    let (Some(token), Some(account), Some(response)) = (token, account, response) else {
        return refused(&["bad-request"]);
    };
    if token.site_key != account.site_key {
        return refused(&["invalid-keys"]);
    }
    if token.redeemed.is_some() || state.is_older(&token, TTL) {
        return refused(&["timeout-or-duplicate"]);
    }
    if token.browser_error {
        return refused(&["browser-error"]);
    }
    if !token.solved {
        return refused(&["incorrect-captcha-sol"]);
    }
    let mut body = json!({
        "success": true,
        "challenge_ts": rfc3339(token.issued, false),
    });
    match &token.app {
        Some(app) => body["apk_package_name"] = app.as_str().into(),
        None => body["hostname"] = token.hostname.as_str().into(),
    }
    if account.provider == V3 {
        let score = token.score.unwrap_or(0.9);
        body["score"] = if state.knobs.score_as_text {
            score.to_string().into()
        } else {
            score.into()
        };
        body["action"] = token.action.unwrap_or_default().into();
    }
    if state.knobs.quota_used_up {
        // Beyond the quota, the service replies with success, a fixed score, and a text.
        body["score"] = 0.9.into();
        body["error-codes"] = json!(["Over free quota."]);
        return pretty(&body);
    }
    if let Some(token) = state.tokens.get_mut(response) {
        token.redeemed = Some((None, Value::Null));
    }
    pretty(&body)
}

/// Creates the reply that refuses a token with these error codes.
fn refused(codes: &[&str]) -> Outgoing {
    pretty(&json!({"success": false, "error-codes": codes}))
}

/// Creates a reply whose JSON has several lines, as Google sends it.
fn pretty(body: &Value) -> Outgoing {
    Outgoing::text(200, "application/json; charset=utf-8", format!("{body:#}"))
}
