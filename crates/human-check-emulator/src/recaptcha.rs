//! recaptcha.md section 11.3.

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, rfc3339};

const LIFE: u64 = 120;
const TESTING_SECRET: &str = "6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe";
const V2: &str = "recaptcha-v2";
const V3: &str = "recaptcha-v3";

pub(crate) fn siteverify(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let mut fields = match request.content_type() {
        "application/x-www-form-urlencoded" => request.form(),
        "multipart/form-data" => request.multipart().unwrap_or_default(),
        // Anything else, JSON among it, is not read.
        _ => Vec::new(),
    };
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
    let site = secret.and_then(|secret| {
        let v2 = state.site_by_secret(V2, secret);
        v2.or_else(|| state.site_by_secret(V3, secret))
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
        Some(_) if site.is_none() && !testing => codes.push("invalid-input-secret"),
        Some(_) => {}
    }
    if !codes.is_empty() {
        return refused(&codes);
    }
    if testing {
        let answer = json!({
            "success": true,
            "challenge_ts": rfc3339(state.now(), false),
            "hostname": "testkey.google.com",
        });
        return pretty(&answer);
    }
    let (Some(token), Some(site), Some(response)) = (token, site, response) else {
        return refused(&["bad-request"]);
    };
    if token.site_key != site.site_key {
        return refused(&["invalid-keys"]);
    }
    if token.redeemed.is_some() || state.is_older(&token, LIFE) {
        return refused(&["timeout-or-duplicate"]);
    }
    if token.browser_error {
        return refused(&["browser-error"]);
    }
    if !token.solved {
        return refused(&["incorrect-captcha-sol"]);
    }
    let mut answer = json!({
        "success": true,
        "challenge_ts": rfc3339(token.issued, false),
    });
    match &token.app {
        Some(app) => answer["apk_package_name"] = app.as_str().into(),
        None => answer["hostname"] = token.hostname.as_str().into(),
    }
    if site.provider == V3 {
        let score = token.score.unwrap_or(0.9);
        answer["score"] = if state.knobs.score_as_text {
            score.to_string().into()
        } else {
            score.into()
        };
        answer["action"] = token.action.unwrap_or_default().into();
    }
    if state.knobs.quota_spent {
        // Fails open: success, a fixed score, and a text.
        answer["score"] = 0.9.into();
        answer["error-codes"] = json!(["Over free quota."]);
        return pretty(&answer);
    }
    if let Some(token) = state.tokens.get_mut(response) {
        token.redeemed = Some((None, Value::Null));
    }
    pretty(&answer)
}

fn refused(codes: &[&str]) -> Outgoing {
    pretty(&json!({"success": false, "error-codes": codes}))
}

/// Google prints its replies over several lines.
fn pretty(answer: &Value) -> Outgoing {
    Outgoing::text(
        200,
        "application/json; charset=utf-8",
        format!("{answer:#}"),
    )
}
