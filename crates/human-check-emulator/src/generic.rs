//! others.md sections 2 to 5: the providers behind the generic adapter.

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, Token, rfc3339};

/// Cap's redeem token lives two hours. The others publish no ttl; this is a guess.
const CAP_LIFE: u64 = 7_200;
const LIFE: u64 = 300;

pub(crate) fn answer(state: &mut State, request: &RecordedRequest) -> Option<Outgoing> {
    let path = request.path.trim_matches('/');
    match path {
        "captchafox/siteverify" => Some(captchafox(state, request)),
        "api/v2/captcha/siteverify" => Some(friendly(state, request)),
        "api/v1/pow/siteverify" => Some(mcaptcha(state, request)),
        _ => {
            let site_key = path.strip_prefix("cap/")?.strip_suffix("/siteverify")?;
            Some(cap(state, request, site_key))
        }
    }
}

/// Why a token is not good, in words that each provider spells its own way.
enum Bad {
    Expired,
    Foreign,
    Spent,
    Unknown,
}

fn redeem(
    state: &mut State,
    provider: &str,
    site_key: &str,
    text: &str,
    ttl: u64,
) -> Result<Token, Bad> {
    let token = state.token(provider, text).cloned().ok_or(Bad::Unknown)?;
    if token.site_key != site_key {
        return Err(Bad::Foreign);
    }
    if !token.solved {
        return Err(Bad::Unknown);
    }
    if token.redeemed.is_some() {
        return Err(Bad::Spent);
    }
    if state.is_older(&token, ttl) {
        return Err(Bad::Expired);
    }
    if let Some(token) = state.token(provider, text) {
        token.redeemed = Some((None, Value::Null));
    }
    Ok(token)
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or("").to_owned()
}

fn cap(state: &mut State, request: &RecordedRequest, site_key: &str) -> Outgoing {
    let no =
        |status, error: &str| Outgoing::json(status, &json!({"success": false, "error": error}));
    let body = request.json().unwrap_or_default();
    let (secret, response) = (text(&body, "secret"), text(&body, "response"));
    if secret.is_empty() || response.split(':').count() != 3 {
        return no(400, "Missing required parameters");
    }
    let site = state
        .sites
        .iter()
        .find(|site| site.provider == "cap" && site.site_key == site_key)
        .cloned();
    let Some(site) = site.filter(|_| response.starts_with(&format!("{site_key}:"))) else {
        return no(404, "Invalid site key or secret");
    };
    if site.secret != secret {
        return no(403, "Invalid site key or secret");
    }
    match redeem(state, "cap", site_key, &response, CAP_LIFE) {
        Ok(_) => Outgoing::json(200, &json!({"success": true})),
        Err(Bad::Expired) => no(403, "Token expired"),
        Err(Bad::Foreign | Bad::Spent | Bad::Unknown) => no(404, "Token not found"),
    }
}

fn captchafox(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let form = request.form();
    let field = |name: &str| {
        form.iter()
            .find_map(|(n, v)| (n == name).then_some(v.as_str()))
            .unwrap_or("")
    };
    let no = |code: &str| Outgoing::json(200, &json!({"success": false, "error-codes": [code]}));
    let Some(site) = state.site_by_secret("captchafox", field("secret")) else {
        return no("invalid-input-secret");
    };
    match redeem(state, "captchafox", &site.site_key, field("response"), LIFE) {
        Ok(token) => Outgoing::json(
            200,
            &json!({
                "success": true,
                "challenge_ts": crate::state::unix(token.issued),
                "hostname": token.hostname,
            }),
        ),
        Err(Bad::Expired) => no("expired-input-response"),
        Err(Bad::Spent) => no("timeout-or-duplicate"),
        Err(Bad::Foreign | Bad::Unknown) => no("invalid-input-response"),
    }
}

fn friendly(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let no = |status, code: &str| {
        let error = json!({"error_code": code, "detail": "see the documentation"});
        Outgoing::json(status, &json!({"success": false, "error": error}))
    };
    let Some(key) = request.header("x-api-key") else {
        return no(401, "auth_required");
    };
    let Some(site) = state.site_by_secret("friendly-captcha", key) else {
        return no(401, "auth_invalid");
    };
    let body = request.json().unwrap_or_default();
    let (response, site_key) = (text(&body, "response"), text(&body, "sitekey"));
    if response.is_empty() {
        return no(400, "response_missing");
    }
    if !site_key.is_empty() && site_key != site.site_key {
        return no(400, "sitekey_invalid");
    }
    match redeem(state, "friendly-captcha", &site.site_key, &response, LIFE) {
        Ok(token) => Outgoing::json(
            200,
            &json!({
                "success": true,
                "data": {
                    "event_id": "ev_demo",
                    "challenge": {
                        "timestamp": rfc3339(token.issued, false),
                        "origin": format!("https://{}", token.hostname),
                    },
                    "risk_intelligence": null,
                },
            }),
        ),
        Err(Bad::Expired) => no(200, "response_timeout"),
        Err(Bad::Spent) => no(200, "response_duplicate"),
        Err(Bad::Foreign | Bad::Unknown) => no(200, "response_invalid"),
    }
}

fn mcaptcha(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let body = request.json().unwrap_or_default();
    let site_key = text(&body, "key");
    let site = state
        .sites
        .iter()
        .find(|site| site.provider == "mcaptcha" && site.site_key == site_key)
        .cloned();
    let Some(site) = site else {
        return Outgoing::json(404, &json!({"error": "site key not found"}));
    };
    if site.secret != text(&body, "secret") {
        return Outgoing::json(401, &json!({"error": "wrong secret"}));
    }
    let valid = redeem(state, "mcaptcha", &site_key, &text(&body, "token"), LIFE).is_ok();
    Outgoing::json(200, &json!({"valid": valid}))
}
