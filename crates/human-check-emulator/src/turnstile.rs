//! Turnstile's siteverify service: `POST /turnstile/v0/siteverify`.
//!
//! The body may be a form, multipart or JSON. A token is valid once, for 300 seconds. A second request
//! with the same token and the same idempotency key gets the first reply again. The testing secrets
//! reply as documented.
//!
//! See docs/providers/turnstile.md#request and docs/providers/turnstile.md#reply.

use serde_json::{Value, json};

use crate::http::{Outgoing, RecordedRequest};
use crate::state::{State, rfc3339};

/// The ttl of a token, in seconds. See docs/providers/turnstile.md#tokens.
const TTL: u64 = 300;
const DUMMY_TOKEN: &str = "XXXX.DUMMY.TOKEN.XXXX";

/// Verifies a token.
pub(crate) fn siteverify(state: &mut State, request: &RecordedRequest) -> Outgoing {
    if request.method != "POST" {
        return Outgoing::text(405, "text/plain", "");
    }
    let Some(fields) = fields(request) else {
        return refused(400, "bad-request");
    };
    let field = |name: &str| {
        fields
            .iter()
            .find_map(|(n, value)| (n == name && !value.is_empty()).then_some(value.as_str()))
    };
    let Some(secret) = field("secret") else {
        return refused(400, "missing-input-secret");
    };
    let response = field("response");
    if let Some(reply) = testing(state, secret, response) {
        return reply;
    }
    let Some(account) = state.account_by_secret("turnstile", secret) else {
        return refused(400, "invalid-input-secret");
    };
    let Some(response) = response else {
        return refused(200, "missing-input-response");
    };
    let key = field("idempotency_key").map(str::to_owned);
    if key
        .as_ref()
        .is_some_and(|key| uuid::Uuid::try_parse(key).is_err())
    {
        return refused(400, "bad-request");
    }
    let Some(token) = state.token("turnstile", response).cloned() else {
        return refused(200, "invalid-input-response");
    };
    if response.len() > 2_048 || token.site_key != account.site_key || !token.solved {
        return refused(200, "invalid-input-response");
    }
    if let Some((kept, reply)) = &token.redeemed {
        return if key.is_some() && key == *kept {
            Outgoing::json(200, reply)
        } else {
            refused(200, "timeout-or-duplicate")
        };
    }
    if state.is_older(&token, TTL) {
        return refused(200, "timeout-or-duplicate");
    }
    let body = json!({
        "success": true,
        "error-codes": [],
        "challenge_ts": rfc3339(token.issued, true),
        "hostname": token.hostname,
        "action": token.action.unwrap_or_default(),
        "cdata": token.binding.unwrap_or_default(),
        "metadata": {"interactive": token.interactive},
    });
    if let Some(token) = state.token("turnstile", response) {
        token.redeemed = Some((key, body.clone()));
    }
    Outgoing::json(200, &body)
}

/// Returns the members of the body, which may be a form, multipart or JSON.
fn fields(request: &RecordedRequest) -> Option<Vec<(String, String)>> {
    match request.content_type().as_str() {
        "application/x-www-form-urlencoded" => Some(request.form()),
        "multipart/form-data" => request.multipart(),
        "application/json" => match request.json()? {
            Value::Object(members) => Some(
                members
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
                    .collect(),
            ),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the reply to a testing secret, or `None` for another secret.
///
/// The reply depends on the secret only, except with the knob `strict_test_tokens`. See
/// docs/providers/turnstile.md#test-keys.
fn testing(state: &State, secret: &str, response: Option<&str>) -> Option<Outgoing> {
    let tail = secret.get(1..)?;
    if tail != "x0000000000000000000000000000000AA" {
        return None;
    }
    let marked = json!({"result_with_testing_key": true});
    let refusal = |code: &str| {
        let body =
            json!({"error-codes": [code], "success": false, "messages": [], "metadata": marked});
        Some(Outgoing::json(200, &body))
    };
    match (secret.as_bytes()[0], response) {
        (b'1'..=b'3', None) => Some(refused(200, "missing-input-response")),
        (b'1'..=b'3', Some(token)) if state.knobs.strict_test_tokens && token != DUMMY_TOKEN => {
            Some(refused(400, "invalid-input-secret"))
        }
        (b'1', Some(_)) => {
            let body = json!({
                "challenge_ts": rfc3339(state.now(), true),
                "error-codes": [],
                "hostname": "example.com",
                "metadata": marked,
                "success": true,
            });
            Some(Outgoing::json(200, &body))
        }
        (b'2', Some(_)) => refusal("invalid-input-response"),
        (b'3', Some(_)) => refusal("timeout-or-duplicate"),
        _ => None,
    }
}

/// Creates the reply that refuses a token with one error code.
fn refused(status: u16, code: &str) -> Outgoing {
    Outgoing::json(
        status,
        &json!({"success": false, "error-codes": [code], "messages": []}),
    )
}
