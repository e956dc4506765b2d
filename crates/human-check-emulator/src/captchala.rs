//! CaptchaLa's services: validation, its backup, and server tokens.
//!
//! | call | what it does |
//! | --- | --- |
//! | `POST /v1/validate` | verifies tokens of the kinds `pass` and `degraded` |
//! | `POST /api/validate` | verifies tokens of the kind `offline`, while the main service is down |
//! | `POST /v1/server/challenge/issue` | issues a server token |
//!
//! All calls need the headers `X-App-Key` and `X-App-Secret`. `keep_token` in a validation leaves the
//! token unused.
//!
//! See docs/providers/captchala.md#request.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::mint::hex;
use crate::state::{CaptchaLaShape, ServerToken, State, Token, unix};

/// The ttl of tokens of the kinds `pass` and `offline`, in seconds.
const PASS_TTL: u64 = 120;
/// The ttl of tokens of the kind `degraded`, in seconds.
const DEGRADED_TTL: u64 = 300;
const PROVIDER: &str = "captchala";

/// Runs a call of CaptchaLa's API.
pub(crate) fn handle(state: &mut State, request: &RecordedRequest) -> Outgoing {
    if request.method != "POST" {
        return json(
            405,
            &json!({"code": 405, "msg": "method not allowed", "error": "method_not_allowed"}),
        );
    }
    let backup = request.path == "/api/validate";
    if state.knobs.main_down && !backup {
        return Outgoing::text(503, "text/html", "<html>down</html>");
    }
    let app_key = request.header("x-app-key").unwrap_or("");
    let account = state
        .accounts
        .iter()
        .find(|account| account.provider == PROVIDER && account.site_key == app_key)
        .cloned();
    let Some(account) = account else {
        return failed(401, "invalid app key", "invalid_app_key");
    };
    if request.header("x-app-secret") != Some(account.secret.as_str()) {
        return failed(401, "invalid app secret", "invalid_app_secret");
    }
    if state.knobs.app_disabled {
        return failed(403, "app disabled", "app_disabled");
    }
    if state.knobs.rate_limited {
        return json(
            429,
            &json!({"code": 1001, "msg": "rate limit", "error": "rate_limit_exceeded"}),
        );
    }
    match request.path.as_str() {
        "/v1/server/challenge/issue" => issue(state, request, &account.site_key),
        _ => validate(state, request, &account.site_key, backup),
    }
}

/// Verifies a token. `backup` selects the backup service, which verifies offline tokens only, and
/// only while the main service is down.
fn validate(state: &mut State, request: &RecordedRequest, app_key: &str, backup: bool) -> Outgoing {
    let Some(Value::Object(body)) = request.json() else {
        return json(
            400,
            &json!({"code": 400, "msg": "bad request", "error": "invalid_request", "data": []}),
        );
    };
    let text = |name: &str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let Some(token_text) = text("pass_token") else {
        return refused("empty_token");
    };
    if backup && !state.knobs.main_down {
        return json(
            200,
            &json!({"code": 1, "message": "main service is online", "error": "service_online"}),
        );
    }
    let prefix = if backup { "offline_" } else { "pt_" };
    let token = state.token(PROVIDER, token_text).cloned();
    if !backup && token_text.starts_with("dg_") {
        return match token {
            Some(token) if token.site_key == app_key => {
                if state.is_older(&token, DEGRADED_TTL) {
                    refused("token_expired")
                } else {
                    json(
                        200,
                        &json!({"code": 0, "msg": "ok", "data": {"valid": false, "degraded": true, "reason": "quota_exhausted"}}),
                    )
                }
            }
            _ => refused("invalid_token"),
        };
    }
    if !token_text.starts_with(prefix) {
        return refused("invalid_token");
    }
    let Some(token) = token.filter(|token| token.site_key == app_key && token.solved) else {
        return refused("token_not_found");
    };
    if token.redeemed.is_some() {
        return refused(if state.knobs.token_already_used {
            "token_already_used"
        } else {
            "token_consumed"
        });
    }
    if state.is_older(&token, PASS_TTL) {
        return refused("token_expired");
    }
    let client_ip = text("client_ip");
    if state.knobs.strict_ip && client_ip.is_some() && client_ip != token.user_ip.as_deref() {
        return refused("binding_mismatch");
    }
    if body.get("keep_token") != Some(&Value::Bool(true))
        && let Some(token) = state.token(PROVIDER, token_text)
    {
        token.redeemed = Some((None, Value::Null));
    }
    let data = match (backup, state.knobs.backup_says_ok) {
        (false, _) => data(state, &token),
        (true, false) => json!({"valid": true}),
        (true, true) => json!({"ok": true}),
    };
    json(200, &json!({"code": 0, "msg": "ok", "data": data}))
}

/// Returns the member `data` of the reply to a valid token.
fn data(state: &State, token: &Token) -> Value {
    let risk = token.score.unwrap_or(12.0) as i64;
    let mut data = json!({
        "valid": true,
        "challenge_id": format!("ch_{}", hex(16)),
        "action": token.action.as_deref().unwrap_or("default"),
        "uid": token.binding,
    });
    match state.knobs.captchala_shape {
        CaptchaLaShape::Minimal => return json!({"valid": true}),
        CaptchaLaShape::Flat => {
            data["client_ip"] = json!(token.user_ip);
            data["risk_score"] = risk.into();
        }
        CaptchaLaShape::Current => {
            let page = token
                .app
                .is_none()
                .then(|| format!("https://{}/", token.hostname));
            data["captcha_args"] = json!({
                "platform": if token.app.is_some() { "android" } else { "web" },
                "user_ip": token.user_ip,
                "referer": page,
                "pkg": token.app,
                "solved_at": unix(token.issued),
                "risk_score": risk,
            });
        }
    }
    data
}

/// Issues a server token.
///
/// Accepts JSON, as the SDKs send it, and a form, as the documentation shows it, and both names of
/// the address: `binding_ip` and `bind_ip`.
fn issue(state: &mut State, request: &RecordedRequest, app_key: &str) -> Outgoing {
    let fields: serde_json::Map<String, Value> = match request.content_type().as_str() {
        "application/x-www-form-urlencoded" => request
            .form()
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect(),
        _ => match request.json() {
            Some(Value::Object(fields)) => fields,
            _ => {
                return json(
                    400,
                    &json!({"code": 400, "msg": "bad request", "error": "invalid_request", "data": []}),
                );
            }
        },
    };
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let number = |name: &str| {
        let value = fields.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let Some(action) = text("action") else {
        return json(
            400,
            &json!({"code": 400, "msg": "action is required", "error": "invalid_action"}),
        );
    };
    let ttl = number("ttl").unwrap_or(300).clamp(1, 3_600);
    let now = state.now();
    let token = format!("sct_{}", hex(32));
    let max = state.knobs.max_given_out();
    state.server_tokens.insert(
        token.clone(),
        ServerToken {
            site_key: app_key.to_owned(),
            action,
            ip: text("binding_ip").or_else(|| text("bind_ip")),
            uid: text("bind_uid"),
            uses_left: number("max_uses").unwrap_or(1),
            expires: now + Duration::from_secs(ttl),
        },
        max,
    );
    json(
        200,
        &json!({
            "code": 0,
            "msg": "success",
            "data": {"server_token": token, "expires_in": ttl, "issued_at": unix(now)},
        }),
    )
}

/// Creates the reply that refuses a token.
fn refused(code: &str) -> Outgoing {
    json(
        200,
        &json!({"code": 0, "msg": "", "data": {"valid": false, "error": code}}),
    )
}

/// Creates an error reply.
fn failed(status: u16, message: &str, code: &str) -> Outgoing {
    json(
        status,
        &json!({"code": status, "msg": message, "error": code, "data": null}),
    )
}

fn json(status: u16, body: &Value) -> Outgoing {
    Outgoing::text(status, "application/json; charset=utf-8", body.to_string())
}
