//! reCAPTCHA Enterprise: assessments, annotations, and the two ways to sign in to Google Cloud.
//!
//! | call | what it does |
//! | --- | --- |
//! | `POST /v1/projects/PROJECT/assessments` | verifies a token |
//! | `POST /v1/projects/PROJECT/assessments/ID:annotate` | annotates an assessment |
//! | `POST /token` | gives an access token for the signed assertion of the service account |
//! | `GET /computeMetadata/v1/instance/service-accounts/default/token` | gives an access token, as the metadata server of a virtual machine does; it also names the account, the project and the universe |
//!
//! `PROJECT` is the id or the number of the project. The first two calls need an API key, an access
//! token, or a token that the service account signed itself. Members may be in snake case.
//!
//! See docs/providers/recaptcha.md#enterprise and docs/providers/recaptcha.md#enterprise-sign-in.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::emulated_account::{
    PROJECT, PROJECT_NUMBER, SERVICE_ACCOUNT_EMAIL, SERVICE_ACCOUNT_KEY,
};
use crate::http::{Outgoing, RecordedRequest};
use crate::mint::hex;
use crate::state::{State, Token, rfc3339, unix};

/// The ttl of a token, in seconds. See docs/providers/recaptcha.md#tokens.
const TTL: u64 = 120;
const PROVIDER: &str = "recaptcha-enterprise";
/// The grant type of a signed assertion, RFC 7523.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The reasons that an annotation may have.
const REASONS: [&str; 14] = [
    "CHARGEBACK",
    "CHARGEBACK_FRAUD",
    "CHARGEBACK_DISPUTE",
    "REFUND",
    "REFUND_FRAUD",
    "TRANSACTION_ACCEPTED",
    "TRANSACTION_DECLINED",
    "PAYMENT_HEURISTICS",
    "INITIATED_TWO_FACTOR",
    "PASSED_TWO_FACTOR",
    "FAILED_TWO_FACTOR",
    "CORRECT_PASSWORD",
    "INCORRECT_PASSWORD",
    "SOCIAL_SPAM",
];

/// Runs a call of the assessment API.
pub(crate) fn handle(state: &mut State, request: &RecordedRequest) -> Outgoing {
    if let Err(reply) = authenticate(state, request) {
        return reply;
    }
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let (project, rest) = match parts[..] {
        ["v1", "projects", project, ref rest @ ..] => (project, rest),
        _ => return error(404, "NOT_FOUND", None, "not found"),
    };
    if request.method != "POST" {
        let message = "the emulator knows no such call";
        return error(501, "UNIMPLEMENTED", None, message);
    }
    let Some(Value::Object(body)) = request.json().map(in_camel_case) else {
        return error(
            400,
            "INVALID_ARGUMENT",
            None,
            "Invalid JSON payload received.",
        );
    };
    if state.knobs.service_disabled {
        return error(
            403,
            "PERMISSION_DENIED",
            Some("SERVICE_DISABLED"),
            "the API is not enabled",
        );
    }
    if project != PROJECT && project != PROJECT_NUMBER {
        return error(
            403,
            "PERMISSION_DENIED",
            None,
            "Permission denied for project",
        );
    }
    match rest {
        ["assessments"] => assess(state, &body),
        ["assessments", id] if id.ends_with(":annotate") => {
            let name = format!(
                "projects/{PROJECT_NUMBER}/assessments/{}",
                id.trim_end_matches(":annotate")
            );
            annotate(state, &name, &body)
        }
        _ => error(404, "NOT_FOUND", None, "not found"),
    }
}

/// Accepts an API key in a header or in the query, or an access token of this emulator.
fn authenticate(state: &State, request: &RecordedRequest) -> Result<(), Outgoing> {
    let in_query = request.query_pairs();
    let api_key = request.header("x-goog-api-key").or_else(|| {
        in_query
            .iter()
            .find_map(|(name, key)| (name == "key").then_some(key.as_str()))
    });
    if let Some(key) = api_key {
        let known = state
            .accounts
            .iter()
            .any(|account| account.provider == PROVIDER && account.secret == key);
        return if known {
            Ok(())
        } else {
            let message = "API key not valid. Please pass a valid API key.";
            Err(error(
                400,
                "INVALID_ARGUMENT",
                Some("API_KEY_INVALID"),
                message,
            ))
        };
    }
    let bearer = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let reason = match bearer {
        None => "CREDENTIALS_MISSING",
        // A service account may sign its own token instead of fetching one.
        Some(token) if is_signed_by_account(token, unix(state.now())) => return Ok(()),
        Some(token) => match state.access_tokens.get(token) {
            Some(expires) if *expires > state.now() => return Ok(()),
            Some(_) => "ACCESS_TOKEN_EXPIRED",
            None => "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        },
    };
    Err(error(
        401,
        "UNAUTHENTICATED",
        Some(reason),
        "Request had invalid authentication credentials.",
    ))
}

/// Verifies a token, and creates an assessment.
fn assess(state: &mut State, body: &serde_json::Map<String, Value>) -> Outgoing {
    let body_members = [
        "event",
        "accountVerification",
        "privatePasswordLeakVerification",
        "assessmentEnvironment",
    ];
    let Some(event) = body.get("event").and_then(Value::as_object) else {
        return error(400, "INVALID_ARGUMENT", None, "event is required");
    };
    let event_members = [
        "token",
        "siteKey",
        "userAgent",
        "userIpAddress",
        "expectedAction",
        "hashedAccountId",
        "express",
        "requestedUri",
        "wafTokenAssessment",
        "ja3",
        "ja4",
        "headers",
        "firewallPolicyEvaluation",
        "transactionData",
        "userInfo",
        "fraudPrevention",
    ];
    if body
        .keys()
        .any(|name| !body_members.contains(&name.as_str()))
        || event
            .keys()
            .any(|name| !event_members.contains(&name.as_str()))
    {
        return error(
            400,
            "INVALID_ARGUMENT",
            None,
            "Invalid JSON payload received. Unknown name",
        );
    }
    if state.knobs.rate_limited {
        return error(
            429,
            "RESOURCE_EXHAUSTED",
            Some("RATE_LIMIT_EXCEEDED"),
            "Quota exceeded",
        );
    }
    if state.knobs.quota_used_up {
        return error(429, "RESOURCE_EXHAUSTED", None, "Quota exceeded");
    }
    let text = |name: &str| {
        event
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let (token, site_key, expected) = (text("token"), text("siteKey"), text("expectedAction"));
    let known = state.token(PROVIDER, &token).cloned();
    let reason = invalid_reason(state, &token, known.as_ref(), &site_key);
    let name = format!("projects/{PROJECT_NUMBER}/assessments/{}", hex(16));
    let max = state.knobs.max_given_out();
    state.assessments.insert(name.clone(), (), max);
    if reason.is_none()
        && let Some(token) = state.token(PROVIDER, &token)
    {
        token.redeemed = Some((None, Value::Null));
    }
    let score = match reason {
        None => known.as_ref().and_then(|t| t.score).unwrap_or(0.9),
        Some(_) => 0.0,
    };
    let decoded = known.as_ref();
    let challenge = match (decoded.is_some_and(|t| !t.solved), &state.knobs.challenge) {
        (true, _) => "FAILED",
        (false, Some(challenge)) => challenge,
        (false, None) => "CHALLENGE_UNSPECIFIED",
    };
    let mut assessment = json!({
        "name": name,
        "event": {
            "token": token, "siteKey": site_key, "userAgent": text("userAgent"),
            "userIpAddress": text("userIpAddress"), "expectedAction": expected, "hashedAccountId": "",
            "express": false, "requestedUri": "", "wafTokenAssessment": false, "ja3": "", "ja4": "",
            "headers": [], "firewallPolicyEvaluation": false,
            "fraudPrevention": "FRAUD_PREVENTION_UNSPECIFIED",
        },
        "riskAnalysis": {
            "score": score,
            "reasons": if score < 0.5 && reason.is_none() { json!(["AUTOMATION"]) } else { json!([]) },
            "extendedVerdictReasons": [],
            "challenge": challenge,
            "verifiedBots": [],
        },
        "tokenProperties": {
            "valid": reason.is_none(),
            "invalidReason": reason.unwrap_or("INVALID_REASON_UNSPECIFIED"),
            "hostname": decoded.filter(|t| t.app.is_none()).map_or("", |t| &t.hostname),
            "androidPackageName": decoded.and_then(|t| t.app.as_deref()).unwrap_or(""),
            "iosBundleId": "",
            "action": decoded.and_then(|t| t.action.as_deref()).unwrap_or(""),
        },
        "accountDefenderAssessment": {"labels": []},
    });
    // The service returns the event as it was sent, with the defaults of what is missing.
    for (name, value) in event {
        assessment["event"][name] = value.clone();
    }
    if let Some(token) = decoded {
        assessment["tokenProperties"]["createTime"] = rfc3339(token.issued, true).into();
    }
    if state.knobs.omit_defaults {
        drop_defaults(&mut assessment);
    }
    Outgoing::json(200, &assessment)
}

/// Returns why a token is invalid, or `None` for a valid one. `token` is `None` for a text that the
/// emulator did not mint.
fn invalid_reason(
    state: &State,
    text: &str,
    token: Option<&Token>,
    site_key: &str,
) -> Option<&'static str> {
    let Some(token) = token else {
        return Some(if text.is_empty() {
            "MISSING"
        } else {
            "MALFORMED"
        });
    };
    let account = state
        .accounts
        .iter()
        .find(|account| account.provider == PROVIDER && account.site_key == token.site_key);
    if token.site_key != site_key {
        return Some(if state.knobs.legacy_mismatch {
            "INVALID_REASON_UNSPECIFIED"
        } else {
            "KEY_MISMATCH"
        });
    }
    if account.is_some_and(|account| !account.allows(&token.hostname)) {
        return Some("DOMAIN_MISMATCH");
    }
    if state.is_older(token, TTL) {
        return Some("EXPIRED");
    }
    if token.redeemed.is_some() {
        return Some("DUPE");
    }
    if token.browser_error {
        return Some("BROWSER_ERROR");
    }
    (!token.solved).then_some("INVALID_REASON_UNSPECIFIED")
}

/// Checks an annotation. The emulator does not store it.
fn annotate(state: &State, name: &str, body: &serde_json::Map<String, Value>) -> Outgoing {
    if state.assessments.get(name).is_none() {
        return error(404, "NOT_FOUND", None, "assessment not found");
    }
    let annotation = body.get("annotation").and_then(Value::as_str);
    let reasons = body
        .get("reasons")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if annotation.is_some_and(|a| !["LEGITIMATE", "FRAUDULENT"].contains(&a)) {
        return error(400, "INVALID_ARGUMENT", None, "Invalid annotation.");
    }
    if reasons
        .iter()
        .any(|reason| !reason.as_str().is_some_and(|r| REASONS.contains(&r)))
    {
        return error(400, "INVALID_ARGUMENT", None, "Invalid reason.");
    }
    Outgoing::json(200, &json!({}))
}

/// Runs a call of the OAuth token endpoint: verifies the signature and the times of the assertion.
pub(crate) fn token(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let form = request.form();
    let field = |name: &str| {
        form.iter()
            .find_map(|(n, value)| (n == name).then_some(value.as_str()))
    };
    let is_valid = field("grant_type") == Some(GRANT)
        && field("assertion")
            .is_some_and(|assertion| is_valid_assertion(assertion, unix(state.now())));
    if !is_valid {
        let body = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
        return Outgoing::json(400, &body);
    }
    Outgoing::json(200, &access_token(state))
}

/// Runs a call of the metadata server of a virtual machine. It requires the header
/// `Metadata-Flavor: Google`, and sends it, by which clients find out where they run.
pub(crate) fn metadata(state: &mut State, request: &RecordedRequest) -> Outgoing {
    let flavored = |mut reply: Outgoing| {
        reply.headers.push(("metadata-flavor", "Google".to_owned()));
        reply
    };
    if request.header("metadata-flavor") != Some("Google") {
        return flavored(Outgoing::text(
            403,
            "text/html",
            "<html>Missing Metadata-Flavor:Google header.</html>",
        ));
    }
    const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
    let text = |text: &str| Outgoing::text(200, "application/text", text);
    let recursive = request.query_pairs();
    let is_recursive = recursive
        .iter()
        .any(|(name, value)| name == "recursive" && value.eq_ignore_ascii_case("true"));
    let path = request.path.trim_start_matches("/computeMetadata/v1");
    let path = path.trim_matches('/');
    let account = path.strip_prefix("instance/service-accounts");
    let account = account.map(|rest| rest.trim_start_matches('/'));
    // The account may be named by its address as well.
    let account = account.map(|rest| match rest.strip_prefix(SERVICE_ACCOUNT_EMAIL) {
        Some(rest) => format!("default{rest}"),
        None => rest.to_owned(),
    });
    let about = json!({
        "aliases": ["default"], "email": SERVICE_ACCOUNT_EMAIL, "scopes": [SCOPE],
    });
    flavored(match (path, account.as_deref()) {
        ("", _) => text("instance/\nproject/\nuniverse/\n"),
        ("project/project-id", _) => text(PROJECT),
        ("project/numeric-project-id", _) => text(PROJECT_NUMBER),
        ("universe/universe-domain" | "universe/universe_domain", _) => text("googleapis.com"),
        (_, Some("")) if is_recursive => Outgoing::json(
            200,
            &json!({"default": about, SERVICE_ACCOUNT_EMAIL: about}),
        ),
        (_, Some("")) => text(&format!("default/\n{SERVICE_ACCOUNT_EMAIL}/\n")),
        (_, Some("default")) if is_recursive => Outgoing::json(200, &about),
        (_, Some("default")) => text("aliases\nemail\nscopes\ntoken\n"),
        (_, Some("default/email")) => text(SERVICE_ACCOUNT_EMAIL),
        (_, Some("default/scopes")) => text(SCOPE),
        (_, Some("default/token")) => Outgoing::json(200, &access_token(state)),
        _ => Outgoing::text(404, "text/html", "<html>Not Found</html>"),
    })
}

/// Returns a body with the names of its members in camel case. JSON of protocol buffers may have them
/// in snake case, as Google's clients for some languages send them.
fn in_camel_case(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (camel(&name), in_camel_case(value)));
            Value::Object(members.collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(in_camel_case).collect()),
        other => other,
    }
}

/// Returns a name such as `site_key` as `siteKey`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Creates and stores an access token, and returns the body that carries it.
fn access_token(state: &mut State) -> Value {
    let token = format!("ya29.{}", hex(40));
    let expires = state.now() + Duration::from_secs(3_599);
    let max = state.knobs.max_given_out();
    state.access_tokens.insert(token.clone(), expires, max);
    json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
}

/// Returns whether the built-in service account signed the assertion, and whether it is valid at
/// `now`, in seconds since 1970.
fn is_valid_assertion(assertion: &str, now: u64) -> bool {
    signed_claims(assertion, now).is_some()
}

/// Returns whether the built-in service account signed the token for this service itself.
fn is_signed_by_account(token: &str, now: u64) -> bool {
    let Some(claims) = signed_claims(token, now) else {
        return false;
    };
    let audience = claims["aud"].as_str().unwrap_or("");
    let scope = claims["scope"].as_str().unwrap_or("");
    // A token for the exchange at the OAuth endpoint is no access token.
    let is_for_service = audience.contains("recaptchaenterprise.googleapis.com")
        || scope.contains("/auth/cloud-platform") && audience.is_empty();
    is_for_service && claims["sub"] == SERVICE_ACCOUNT_EMAIL
}

/// Returns the claims of a token that the built-in service account signed and that is valid at `now`.
fn signed_claims(token: &str, now: u64) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let (signature, claims) = (decode(signature)?, decode(claims)?);
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(SERVICE_ACCOUNT_KEY.as_bytes()).ok()?;
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
    let public = UnparsedPublicKey::new(
        &RSA_PKCS1_2048_8192_SHA256,
        key.public_key().as_ref().to_vec(),
    );
    let (issued, expires) = (
        claims["iat"].as_u64().unwrap_or(u64::MAX),
        claims["exp"].as_u64().unwrap_or(0),
    );
    let is_valid = public.verify(signed.as_bytes(), &signature).is_ok()
        && claims["iss"] == SERVICE_ACCOUNT_EMAIL
        && issued <= now + 60
        && now < expires
        && expires.saturating_sub(issued) <= 3_600;
    is_valid.then_some(claims)
}

/// Removes all members that have their default value, as Google's services may do.
fn drop_defaults(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(drop_defaults);
        members.retain(|_, member| match member {
            Value::Bool(set) => *set,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty() && !text.ends_with("_UNSPECIFIED"),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
    }
}

/// Creates an error reply in Google's format.
fn error(code: u16, status: &str, reason: Option<&str>, message: &str) -> Outgoing {
    let mut error = json!({"code": code, "message": message, "status": status});
    if let Some(reason) = reason {
        error["details"] = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "googleapis.com",
            "metadata": {"service": "recaptchaenterprise.googleapis.com"},
        }]);
    }
    Outgoing::json(code, &json!({"error": error}))
}
