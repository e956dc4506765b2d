//! Cap, CaptchaFox, Friendly Captcha and mCaptcha, the providers of the generic adapter.
//!
//! | provider | call |
//! | --- | --- |
//! | Cap | `POST /cap/SITE_KEY/siteverify` |
//! | CaptchaFox | `POST /captchafox/siteverify`, and `POST /siteverify` under its host name or with one of its secrets |
//! | Friendly Captcha | `POST /api/v2/captcha/siteverify` |
//! | mCaptcha | `POST /api/v1/pow/siteverify` |
//!
//! Each token is valid once.
//!
//! See docs/providers/siteverify.md#dialects.

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, Token, rfc3339};

/// The ttl of Cap's tokens, in seconds. See docs/providers/siteverify.md#tokens.
const CAP_TTL: u64 = 7_200;
/// The ttl of the other providers' tokens, in seconds. They publish none, so this one is assumed.
const DEFAULT_TTL: u64 = 300;

/// Returns the reply of one of these providers, or `None` when the path belongs to none of them.
pub(crate) fn handle(state: &mut State, request: &RecordedRequest) -> Option<Outgoing> {
    let path = request.path.trim_matches('/');
    match path {
        "captchafox/siteverify" => Some(captchafox(state, request)),
        // hCaptcha has the same path on its own host. The host or the secret tells which one is called.
        "siteverify"
            if request.host().ends_with("captchafox.com")
                || is_secret_of_captchafox(state, request) =>
        {
            Some(captchafox(state, request))
        }
        "api/v2/captcha/siteverify" => Some(friendly(state, request)),
        "api/v1/pow/siteverify" => Some(mcaptcha(state, request)),
        _ => {
            let site_key = path.strip_prefix("cap/")?.strip_suffix("/siteverify")?;
            Some(cap(state, request, site_key))
        }
    }
}

/// Returns whether the request holds the secret of a CaptchaFox account.
fn is_secret_of_captchafox(state: &State, request: &RecordedRequest) -> bool {
    let form = request.form();
    let secret = form.iter().find(|(name, _)| name == "secret");
    secret.is_some_and(|(_, secret)| state.account_by_secret("captchafox", secret).is_some())
}

/// Why a token is refused. Each provider has its own codes for it.
enum TokenError {
    Expired,
    Foreign,
    Used,
    Unknown,
}

/// Verifies a token and marks it as used.
fn redeem(
    state: &mut State,
    provider: &str,
    site_key: &str,
    text: &str,
    ttl: u64,
) -> Result<Token, TokenError> {
    let token = state
        .token(provider, text)
        .cloned()
        .ok_or(TokenError::Unknown)?;
    if token.site_key != site_key {
        return Err(TokenError::Foreign);
    }
    if !token.solved {
        return Err(TokenError::Unknown);
    }
    if token.redeemed.is_some() {
        return Err(TokenError::Used);
    }
    if state.is_older(&token, ttl) {
        return Err(TokenError::Expired);
    }
    if let Some(token) = state.token(provider, text) {
        token.redeemed = Some((None, Value::Null));
    }
    Ok(token)
}

/// Returns a text member of a body, or an empty text.
fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or("").to_owned()
}

fn cap(state: &mut State, request: &RecordedRequest, site_key: &str) -> Outgoing {
    let refusal =
        |status, error: &str| Outgoing::json(status, &json!({"success": false, "error": error}));
    let body = request.json().unwrap_or_default();
    let (secret, response) = (text(&body, "secret"), text(&body, "response"));
    if secret.is_empty() || response.split(':').count() != 3 {
        return refusal(400, "Missing required parameters");
    }
    let account = state
        .accounts
        .iter()
        .find(|account| account.provider == "cap" && account.site_key == site_key)
        .cloned();
    let Some(account) = account.filter(|_| response.starts_with(&format!("{site_key}:"))) else {
        return refusal(404, "Invalid site key or secret");
    };
    if account.secret != secret {
        return refusal(403, "Invalid site key or secret");
    }
    match redeem(state, "cap", site_key, &response, CAP_TTL) {
        Ok(_) => Outgoing::json(200, &json!({"success": true})),
        Err(TokenError::Expired) => refusal(403, "Token expired"),
        Err(TokenError::Foreign | TokenError::Used | TokenError::Unknown) => {
            refusal(404, "Token not found")
        }
    }
}

fn captchafox(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let form = request.form();
    let field = |name: &str| {
        form.iter()
            .find_map(|(n, v)| (n == name).then_some(v.as_str()))
            .unwrap_or("")
    };
    let refusal =
        |code: &str| Outgoing::json(200, &json!({"success": false, "error-codes": [code]}));
    let Some(account) = state.account_by_secret("captchafox", field("secret")) else {
        return refusal("invalid-input-secret");
    };
    match redeem(
        state,
        "captchafox",
        &account.site_key,
        field("response"),
        DEFAULT_TTL,
    ) {
        Ok(token) => Outgoing::json(
            200,
            &json!({
                "success": true,
                "challenge_ts": crate::state::unix(token.issued),
                "hostname": token.hostname,
            }),
        ),
        Err(TokenError::Expired) => refusal("expired-input-response"),
        Err(TokenError::Used) => refusal("timeout-or-duplicate"),
        Err(TokenError::Foreign | TokenError::Unknown) => refusal("invalid-input-response"),
    }
}

fn friendly(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let refusal = |status, code: &str| {
        let error = json!({"error_code": code, "detail": "see the documentation"});
        Outgoing::json(status, &json!({"success": false, "error": error}))
    };
    let Some(key) = request.header("x-api-key") else {
        return refusal(401, "auth_required");
    };
    let Some(account) = state.account_by_secret("friendly-captcha", key) else {
        return refusal(401, "auth_invalid");
    };
    let body = request.json().unwrap_or_default();
    let (response, site_key) = (text(&body, "response"), text(&body, "sitekey"));
    if response.is_empty() {
        return refusal(400, "response_missing");
    }
    if !site_key.is_empty() && site_key != account.site_key {
        return refusal(400, "sitekey_invalid");
    }
    match redeem(
        state,
        "friendly-captcha",
        &account.site_key,
        &response,
        DEFAULT_TTL,
    ) {
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
        Err(TokenError::Expired) => refusal(200, "response_timeout"),
        Err(TokenError::Used) => refusal(200, "response_duplicate"),
        Err(TokenError::Foreign | TokenError::Unknown) => refusal(200, "response_invalid"),
    }
}

fn mcaptcha(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let body = request.json().unwrap_or_default();
    let site_key = text(&body, "key");
    let account = state
        .accounts
        .iter()
        .find(|account| account.provider == "mcaptcha" && account.site_key == site_key)
        .cloned();
    let Some(account) = account else {
        return Outgoing::json(404, &json!({"error": "site key not found"}));
    };
    if account.secret != text(&body, "secret") {
        return Outgoing::json(401, &json!({"error": "wrong secret"}));
    }
    let valid = redeem(
        state,
        "mcaptcha",
        &site_key,
        &text(&body, "token"),
        DEFAULT_TTL,
    )
    .is_ok();
    Outgoing::json(200, &json!({"valid": valid}))
}
