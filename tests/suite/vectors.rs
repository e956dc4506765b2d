//! The recorded requests and replies in `tests/vectors`. Each reply is read by `explain` or by the
//! adapter, and each request is compared with the adapter's request. The member `means` of a vector
//! has its meaning; where the adapter differs, a comment here states the reason.

use std::collections::BTreeMap;

use human_check_captchala::{CAPTCHALA, CaptchaLa, ServerTokenRequest};
use human_check_config::{EnterpriseKeyKind, ProviderConfig, ProviderKind};
use human_check_core::{ErrorKind, HumanCheck, Secret, Submission, TestKeyPolicy};
use human_check_explain::{Case, Explanation, explain};
use human_check_http::{
    Limits, MockTransport, ProviderClient, Reply, Request, SendError, SendErrorKind,
};
use human_check_recaptcha::read_access_token;
use serde_json::{Value, json};

/// Reads the vectors of one file.
fn vectors(file: &str) -> Vec<Value> {
    let path = format!("{}/vectors/{file}.vectors.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(vectors.len() > 20, "{file} has {} vectors", vectors.len());
    vectors
}

fn body_text(response: &Value) -> String {
    match &response["body"] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        json => json.to_string(),
    }
}

/// Returns a member as text, or an empty text.
fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or("")
}

/// Returns what `explain` makes of the vector's reply.
async fn explained(
    vector: &Value,
    provider: &str,
    policy: Value,
    token: Option<&str>,
) -> Explanation {
    let response = &vector["response"];
    let case = json!({
        "name": vector["name"],
        "provider": provider,
        "status": response["status"],
        "headers": response["headers"],
        "body": body_text(response),
        "policy": policy,
        "token": token,
    });
    let case: Case = serde_json::from_value(case).unwrap();
    explain(case).await.unwrap()
}

/// Runs `outcome` over all vectors of a file and reports all failures together.
async fn run<F>(file: &str, outcome: impl Fn(Value) -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let mut failures = Vec::new();
    for vector in vectors(file) {
        let name = text(&vector, "name").to_owned();
        if let Err(failure) = outcome(vector).await {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} vectors fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    actual: T,
    expected: T,
) -> Result<(), String> {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what} is {actual:?}, expected {expected:?}"))
    }
}

/// Returns the expected outcome, and the reason if the vector determines it.
fn siteverify_reading(vector: &Value) -> (&'static str, Option<&'static str>) {
    let means = &vector["means"];
    let code = means["codes"][0].as_str().unwrap_or("");
    match (text(means, "verdict"), code) {
        ("accepted", _) => ("human", None),
        ("visitor_missing", _) => ("not-human", Some("missing")),
        ("visitor_failed", _) => ("not-human", Some("invalid")),
        ("visitor_retry", "timeout-or-duplicate") => ("not-human", Some("expired-or-replayed")),
        ("visitor_retry", "expired-input-response") => ("not-human", Some("expired")),
        ("visitor_retry", "already-seen-response") => ("not-human", Some("replayed")),
        ("visitor_retry", _) => ("not-human", Some("invalid")),
        // A visitor can send a token of another site, so this is a refusal with an alert.
        ("misconfigured", "sitekey-secret-mismatch") => ("not-human", Some("wrong-site-key")),
        ("misconfigured", _) => ("misconfigured", None),
        ("temporary", _) if vector["response"]["status"] == 429 => ("rate-limited", None),
        ("temporary", _) => ("unavailable", None),
        ("rejected_locally", _) => ("not-human", None),
        ("malformed_reply", _) => ("protocol", None),
        ("unknown", _) => ("not-human", Some("other")),
        (verdict, _) => panic!("unknown verdict {verdict}"),
    }
}

fn siteverify_policy(vector: &Value) -> Value {
    let means = &vector["means"];
    let expected = &means["expected"];
    let mut policy = json!({
        "hostnames": expected["hostname"],
        "action": expected["action"],
        "allow_testing": means["testing_key"],
    });
    if let Some((_, limit)) = text(means, "reason").split_once("(limit ") {
        policy["max_risk"] = limit.trim_end_matches(')').parse::<f64>().unwrap().into();
    }
    policy
}

async fn siteverify_vector(vector: Value, provider: &str) -> Result<(), String> {
    let means = &vector["means"];
    let (outcome, reason) = siteverify_reading(&vector);
    let explanation = explained(&vector, provider, siteverify_policy(&vector), None).await;
    expect("outcome", explanation.outcome, outcome)?;
    if let Some(reason) = reason {
        expect("reason", explanation.reason.as_deref(), Some(reason))?;
    }
    if outcome != "human"
        && !matches!(
            text(means, "verdict"),
            "malformed_reply" | "rejected_locally"
        )
    {
        expect("codes", json!(explanation.codes), means["codes"].clone())?;
    }
    if let Some(Value::String(hostname)) = means.get("hostname")
        && outcome == "human"
    {
        expect(
            "hostname",
            explanation.hostname.as_deref(),
            Some(hostname.as_str()),
        )?;
    }
    if let Some(risk) = means.get("score").and_then(Value::as_f64) {
        let score = explanation.score.ok_or("no score")?;
        expect("score", (score * 1e6).round(), ((1.0 - risk) * 1e6).round())?;
    }
    let owner = text(means, "blame").contains("owner");
    expect("alert", explanation.alert, owner)?;
    if means["testing_key"] == true && outcome == "human" {
        let strict = explained(&vector, provider, json!({}), None).await;
        expect("outcome without permission", strict.outcome, "not-human")?;
        expect(
            "reason without permission",
            strict.reason.as_deref(),
            Some("test-key"),
        )?;
        expect("alert without permission", strict.alert, true)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_turnstile_vector_is_judged_as_recorded() {
    run("turnstile", |vector| siteverify_vector(vector, "turnstile")).await;
}

#[tokio::test]
async fn every_hcaptcha_vector_is_judged_as_recorded() {
    run("hcaptcha", |vector| siteverify_vector(vector, "hcaptcha")).await;
}

/// Returns the outcome of the vectors of reCAPTCHA that the adapter reads differently.
fn recaptcha_exception(name: &str) -> Option<&'static str> {
    match name {
        // The adapter never repeats a request that was sent, so this is a replay by the client.
        "siteverify.error.timeout_or_duplicate.after_own_retry"
        | "enterprise.invalid.dupe_after_own_retry" => Some("not-human"),
        // Express keys have no token, and a score without a token never passes.
        "enterprise.express" => Some("protocol"),
        // The adapter renews the access token. The reply alone means that the credential is wrong.
        "enterprise.error.unauthenticated.expired_bearer" => Some("misconfigured"),
        _ => None,
    }
}

async fn recaptcha_vector(vector: Value) -> Result<(), String> {
    let name = text(&vector, "name");
    let means = &vector["means"];
    let outcome = match (
        recaptcha_exception(name),
        text(means, "outcome"),
        text(means, "reason"),
    ) {
        (Some(outcome), _, _) => outcome,
        (_, "human" | "test_mode", _) => "human",
        (_, "not_accepted", _) => "not-human",
        (_, "misconfigured", _) => "misconfigured",
        (_, "quota_exhausted", _) => "declined",
        // A visitor may have caused an invalid reply, so it is no outage.
        (_, "unavailable", "invalid_json" | "anomaly") => "protocol",
        (_, "unavailable", "rate_limited") => "rate-limited",
        (_, "unavailable", _) => "unavailable",
        (_, outcome, _) => return Err(format!("unknown outcome {outcome}")),
    };
    let mode = text(&means["policy"], "mode");
    let provider = match mode {
        _ if name.starts_with("enterprise.") => "recaptcha-enterprise",
        "v2" => "recaptcha-v2",
        _ => "recaptcha-v3",
    };
    let mut policy = means["policy"].clone();
    if mode == "enterprise_express" {
        policy = json!({"min_score": policy["min_score"]});
    }
    let explanation = explained(&vector, provider, policy, None).await;
    expect("outcome", explanation.outcome, outcome)?;
    if outcome == "human" || text(means, "reason") == "low_score" {
        if let Some(score) = means.get("score").and_then(Value::as_f64) {
            // Rounded, because some replies have 0.9 as a 32-bit number.
            let actual = (explanation.score.ok_or("no score")? * 1e4).round();
            expect("score", actual, (score * 1e4).round())?;
        }
        if let Some(Value::String(hostname)) = means.get("hostname") {
            expect(
                "hostname",
                explanation.hostname.as_deref(),
                Some(hostname.as_str()),
            )?;
        }
    }
    let reason = match text(means, "reason") {
        "hostname_mismatch" | "domain_mismatch" => Some("wrong-hostname"),
        "hostname_missing" => Some("hostname-absent"),
        "low_score" => Some("score-too-low"),
        "action_mismatch" => Some("wrong-action"),
        "missing" => Some("missing"),
        "expired_or_replayed" => Some("expired-or-replayed"),
        "expired" => Some("expired"),
        "replayed" => Some("replayed"),
        "key_pair_mismatch" | "key_mismatch" => Some("wrong-site-key"),
        "rate_limited" => Some("rate-limited"),
        "over_free_quota" => Some("quota"),
        "api_key_restricted" if !name.ends_with("no_details") => Some("api-key-restricted"),
        "billing_disabled" => Some("billing-disabled"),
        _ => None,
    };
    if let Some(reason) = reason {
        expect("reason", explanation.reason.as_deref(), Some(reason))?;
    }
    for code in means["raw_codes"].as_array().into_iter().flatten() {
        expect(
            "code kept",
            explanation.codes.iter().any(|c| code == c),
            true,
        )?;
    }
    if outcome == "not-human" {
        let alert = means["owner_alert"] == true;
        expect("alert", explanation.alert, alert)?;
    }
    Ok(())
}

fn oauth_vector(vector: &Value) -> Result<(), String> {
    let response = &vector["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let read = read_access_token(&Reply::new(status, body_text(response)));
    let means = &vector["means"];
    match (text(means, "outcome"), text(means, "reason"), read) {
        ("ok", _, Ok(token)) => {
            expect("token", token.token.expose(), "ACCESS_TOKEN")?;
            expect(
                "expires_in",
                token.expires_in.as_secs(),
                means["expires_in"].as_u64().unwrap(),
            )
        }
        ("misconfigured", _, Err(error)) => expect("kind", error.kind(), ErrorKind::Misconfigured),
        ("unavailable", "oauth_anomaly", Err(error)) => {
            expect("kind", error.kind(), ErrorKind::Protocol)
        }
        ("unavailable", _, Err(error)) => expect("kind", error.kind(), ErrorKind::Unavailable),
        (outcome, _, read) => Err(format!("{outcome} was read as {read:?}")),
    }
}

#[tokio::test]
async fn every_recaptcha_vector_is_judged_as_recorded() {
    run("recaptcha", |vector| async move {
        let name = text(&vector, "name").to_owned();
        if name.starts_with("oauth.") {
            oauth_vector(&vector)
        } else if name.starts_with("enterprise.annotate.") {
            annotate_vector(&vector).await
        } else if name == "enterprise.retrieve_legacy_secret" {
            // A management call that no adapter makes.
            Ok(())
        } else {
            recaptcha_vector(vector).await
        }
    })
    .await;
}

async fn annotate_vector(vector: &Value) -> Result<(), String> {
    use human_check_core::{DetailValue, Facts};
    use human_check_recaptcha::{
        Annotation, AnnotationReason, Credential, KeyKind, RECAPTCHA_ENTERPRISE,
        RecaptchaEnterprise,
    };
    let response = &vector["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let provider = MockTransport::always(Reply::new(status, body_text(response)));
    let key = Credential::api_key(Secret::new("API_KEY").unwrap()).unwrap();
    let client = ProviderClient::new(provider.clone());
    let check =
        RecaptchaEnterprise::new(&client, "demo-project", "SITE_KEY", key, KeyKind::Checkbox)
            .unwrap();
    let mut facts = Facts::new(&RECAPTCHA_ENTERPRISE);
    let url = text(&vector["request"], "url");
    let name = url
        .split("/v1/")
        .nth(1)
        .unwrap()
        .trim_end_matches(":annotate");
    facts
        .details
        .push(("name", DetailValue::Text(name.to_owned())));
    let body = &vector["request"]["body"];
    let annotation = match text(body, "annotation") {
        "LEGITIMATE" => Some(Annotation::Legitimate),
        "FRAUDULENT" => Some(Annotation::Fraudulent),
        _ => None,
    };
    let reasons: &[AnnotationReason] = match body["reasons"][0].as_str() {
        Some("CORRECT_PASSWORD") => &[AnnotationReason::CorrectPassword],
        Some("INITIATED_TWO_FACTOR") => &[AnnotationReason::InitiatedTwoFactor],
        _ => &[],
    };
    let done = check.annotate(&facts, annotation, reasons).await;
    match text(&vector["means"], "outcome") {
        "ok" => expect("done", done.is_ok(), true)?,
        _ => expect("kind", done.unwrap_err().kind(), ErrorKind::Misconfigured)?,
    }
    let request = &provider.requests()[0];
    expect("url", request.endpoint().url().as_str(), url)?;
    expect(
        "key",
        request.headers()["x-goog-api-key"].to_str().unwrap(),
        "API_KEY",
    )?;
    // The type `AnnotationReason` has no value for an invalid reason.
    if !text(vector, "name").ends_with("bad_reason") {
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        expect("body", &sent, body)?;
    }
    Ok(())
}

/// Returns the requests that a check makes for this submission.
async fn requests_for(
    mut config: ProviderConfig,
    submission: Submission,
) -> Result<Vec<Request>, String> {
    let provider = MockTransport::always(Reply::new(503, ""));
    let mut limits = Limits::default();
    limits.total_timeout = std::time::Duration::from_millis(40);
    config.test_keys = TestKeyPolicy::Allowed;
    let check = config
        .build(&ProviderClient::new(provider.clone()).with_limits(limits))
        .map_err(|error| error.to_string())?;
    let _ = check.check(&submission).await;
    Ok(provider.requests())
}

async fn form_request_vector(vector: Value, provider: ProviderKind) -> Result<(), String> {
    let request = &vector["request"];
    let Value::String(body) = &request["body"] else {
        return Ok(());
    };
    let recorded: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let (Some(secret), Some(token)) = (recorded.get("secret"), recorded.get("response")) else {
        return Ok(()); // A check makes no such request.
    };
    // A v3 check refuses the published v2 test secret, even if test keys are allowed.
    let testing_v2 = secret.starts_with("6LeIxAcTAAAAAGG") && provider == ProviderKind::RecaptchaV3;
    if token.is_empty()
        || testing_v2
        || body.matches("secret=").count() > 1 && !body.contains("%26secret")
    {
        return Ok(());
    }
    let mut config = ProviderConfig::new(provider);
    config.secret = Some(Secret::new(secret.as_str()).unwrap());
    config.site_key = Some(
        recorded
            .get("sitekey")
            .cloned()
            .unwrap_or_else(|| "own-key".to_owned()),
    );
    config.min_score = (provider == ProviderKind::RecaptchaV3).then_some(0.5);
    let mut submission = Submission::new().with_token(provider.provider(), token);
    if let Some(ip) = recorded.get("remoteip").and_then(|ip| ip.parse().ok()) {
        submission = submission.with_client_ip(ip);
    }
    let requests = requests_for(config, submission).await?;
    // reCAPTCHA's tokens have no such character, so this text is not sent at all.
    if provider.as_str().starts_with("recaptcha") && token.contains('&') {
        return expect("calls", requests.len(), 0);
    }
    expect("calls", requests.len(), 1)?;
    let sent: Vec<(String, String)> = form_urlencoded::parse(requests[0].body())
        .into_owned()
        .collect();
    let names: std::collections::BTreeSet<_> = sent.iter().map(|(name, _)| name).collect();
    expect("repeated fields", names.len(), sent.len())?;
    for name in ["secret", "response", "sitekey", "remoteip"] {
        let invalid_ip = name == "remoteip"
            && recorded
                .get(name)
                .is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err());
        if let Some(value) = recorded.get(name).filter(|_| !invalid_ip) {
            let actual = sent.iter().find_map(|(n, v)| (n == name).then_some(v));
            expect(name, actual, Some(value))?;
        }
    }
    expect(
        "path",
        requests[0].endpoint().url().path(),
        url_path(text(request, "url")),
    )
}

fn url_path(url: &str) -> &str {
    let after_host = url.splitn(4, '/').nth(3).unwrap_or("");
    let start = url.len() - after_host.len() - 1;
    url[start..].split('?').next().unwrap_or("")
}

#[tokio::test]
async fn the_adapters_send_what_the_vectors_record() {
    run("turnstile", |v| {
        form_request_vector(v, ProviderKind::Turnstile)
    })
    .await;
    run("hcaptcha", |v| async move {
        // Another endpoint, and a request without a token.
        let other = ["nojs-enterprise"].contains(&text(&v, "name"));
        if other {
            Ok(())
        } else {
            form_request_vector(v, ProviderKind::Hcaptcha).await
        }
    })
    .await;
    run("recaptcha", |v| async move {
        let name = text(&v, "name").to_owned();
        if name.starts_with("siteverify.v3") {
            form_request_vector(v, ProviderKind::RecaptchaV3).await
        } else if name.starts_with("siteverify.") {
            form_request_vector(v, ProviderKind::RecaptchaV2).await
        } else if name.starts_with("enterprise.success") || name.starts_with("enterprise.checkbox")
        {
            enterprise_request_vector(v).await
        } else {
            Ok(())
        }
    })
    .await;
}

async fn enterprise_request_vector(vector: Value) -> Result<(), String> {
    let recorded = &vector["request"]["body"];
    let event = &recorded["event"];
    let mut config = ProviderConfig::new(ProviderKind::RecaptchaEnterprise);
    config.secret = Some(Secret::new("API_KEY").unwrap());
    config.site_key = Some(text(event, "siteKey").to_owned());
    config.project = Some("demo-project".to_owned());
    config.enterprise_key = Some(EnterpriseKeyKind::Checkbox);
    let mut submission = Submission::new().with_token(
        ProviderKind::RecaptchaEnterprise.provider(),
        text(event, "token"),
    );
    if let Some(action) = event["expectedAction"].as_str() {
        submission = submission.with_expected_action(action.to_owned());
    }
    if let Some(ip) = event["userIpAddress"].as_str() {
        submission = submission.with_client_ip(ip.parse().unwrap());
    }
    if let Some(agent) = event["userAgent"].as_str() {
        submission = submission.with_user_agent(agent);
    }
    let requests = requests_for(config, submission).await?;
    let sent: Value = serde_json::from_slice(requests[0].body()).unwrap();
    expect("body", &sent, recorded)?;
    expect(
        "path",
        requests[0].endpoint().url().path(),
        url_path(text(&vector["request"], "url")),
    )?;
    // The adapter sends the key in a header, also where the vector sends it in the URL.
    expect(
        "key",
        requests[0].headers()["x-goog-api-key"].to_str().unwrap(),
        "API_KEY",
    )
}

/// Returns the outcome and the number of calls for the vectors of `CaptchaLa` that the adapter
/// reads differently.
fn captchala_exception(name: &str) -> Option<(&'static str, u64)> {
    match name {
        // For the main service only `valid` decides. The member `ok` is for the backup service. A
        // reply without a verdict, or with one of another type, is no refusal: if the provider
        // changed its replies, every visitor would be refused and the operator would not know.
        "validate_ok_alias_field_ok"
        | "validate_ok_valid_null_ok_true"
        | "validate_fail_valid_is_string_true"
        | "validate_fail_code_zero_data_missing" => Some(("protocol", 1)),
        // Only tokens with the prefixes `pt_` and `dg_` cause a call.
        "validate_fail_invalid_token" => Some(("not-human", 0)),
        _ => None,
    }
}

/// Returns a transport that replies as recorded in the vector.
fn recorded_provider(vector: &Value) -> MockTransport {
    let response = vector["response"].clone();
    MockTransport::new(move |_| match response["transport_error"].as_str() {
        Some("connection_refused") => Err(SendError::new(SendErrorKind::NotSent)),
        Some(_) => Err(SendError::new(SendErrorKind::Lost)),
        None => {
            let status = u16::try_from(response["status"].as_u64().unwrap_or(500)).unwrap();
            Ok(Reply::new(status, body_text(&response)))
        }
    })
}

async fn captchala_vector(vector: Value) -> Result<(), String> {
    let (input, means) = (&vector["input"], &vector["means"]);
    let provider = recorded_provider(&vector);
    let mut limits = Limits::default();
    limits.total_timeout = std::time::Duration::from_millis(40); // Too short for a second attempt.
    let client = ProviderClient::new(provider.clone()).with_limits(limits);
    let headers = &vector["request"]["headers"];
    let header = |name: &str, default: &str| headers[name].as_str().unwrap_or(default).to_owned();
    let (key, secret) = (header("X-App-Key", "app"), header("X-App-Secret", "sec"));
    let mut check = CaptchaLa::new(&client, &key, Secret::new(secret).unwrap()).unwrap();
    if input["allow_offline"] == true {
        check = check.with_offline_tokens();
    }
    if text(input, "operation") == "issue_server_token" {
        return issue_vector(&vector, &check, &provider).await;
    }
    let mut submission = Submission::new().with_token(&CAPTCHALA, text(input, "token"));
    if let Some(action) = input["expected_action"].as_str() {
        submission = submission.with_expected_action(action.to_owned());
    }
    if let Some(uid) = input["expected_uid"].as_str() {
        submission = submission.with_expected_binding(uid);
    }
    if let Some(ip) = input["client_ip"].as_str() {
        submission = submission.with_client_ip(ip.parse().unwrap());
    }
    let outcome = check.check(&submission).await;
    let explanation = Explanation::new(None, &outcome);
    let calls = provider.requests().len() as u64;
    if let Some((expected, expected_calls)) = captchala_exception(text(&vector, "name")) {
        expect("outcome", explanation.outcome, expected)?;
        return expect("calls", calls, expected_calls);
    }
    let (expected, reason) = match (text(means, "outcome"), text(means, "reason")) {
        ("pass", _) => ("human", ""),
        ("fail", "missing_token") => ("not-human", "missing"),
        // Without a call the token is malformed, and by the provider's reply it is unknown.
        ("fail", "invalid_token") if calls == 0 => ("not-human", "malformed"),
        ("fail", "invalid_token") if means["raw_code"] == "site_mismatch" => {
            ("not-human", "wrong-site-key")
        }
        ("fail", "invalid_token") => ("not-human", "invalid"),
        ("fail", "expired") => ("not-human", "expired"),
        ("fail", "already_used") => ("not-human", "replayed"),
        ("fail", "action_mismatch") => ("not-human", "action"),
        ("fail", "uid_mismatch") => ("not-human", "binding"),
        ("fail", "ip_mismatch") => ("not-human", "wrong-address"),
        ("fail", "unverifiable" | "wrong_token_kind" | "offline_refused") => {
            ("not-human", "unverifiable-token")
        }
        ("fail", "unknown") => ("not-human", "other"),
        ("fail", "degraded") => ("declined", "quota"),
        ("error", "misconfigured") => ("misconfigured", ""),
        ("error", "malformed_response") => ("protocol", ""),
        ("error", "rate_limited") => ("rate-limited", "rate-limited"),
        ("error", "transport") => ("unavailable", ""),
        (outcome, reason) => return Err(format!("unknown reading {outcome} {reason}")),
    };
    expect("outcome", explanation.outcome, expected)?;
    let actual = explanation.reason.clone().unwrap_or_default();
    if !actual.contains(reason) {
        return Err(format!("reason is {actual:?}, expected {reason:?}"));
    }
    expect("calls", calls, means["network_calls"].as_u64().unwrap())?;
    if let (Some(code), "not-human" | "misconfigured") = (means["raw_code"].as_str(), expected) {
        expect("codes", explanation.codes.as_slice(), &[code.to_owned()])?;
    }
    if expected == "human" {
        let facts = outcome.as_ref().unwrap().facts().unwrap();
        match means.get("risk") {
            Some(Value::Null) => expect("risk", facts.score.is_none(), true)?,
            Some(risk) => expect("risk", facts.score.unwrap().raw(), risk.as_f64().unwrap())?,
            None => {}
        }
        if let Some(action) = means.get("action") {
            expect(
                "action",
                &json!(
                    facts
                        .action
                        .as_ref()
                        .map(human_check_core::ReportedAction::as_str)
                ),
                action,
            )?;
        }
        if let Some(uid) = means.get("uid") {
            expect("uid", &json!(facts.binding), uid)?;
        }
        expect(
            "offline",
            facts.detail("offline").is_some(),
            means["offline"] == true,
        )?;
    }
    if calls == 1 && input["keep_token"] != true {
        // A kept token would pass again, so no check sends `keep_token: true`.
        same_request(&provider.requests()[0], &vector["request"])?;
    }
    Ok(())
}

async fn issue_vector(
    vector: &Value,
    check: &CaptchaLa,
    provider: &MockTransport,
) -> Result<(), String> {
    let (input, means) = (&vector["input"], &vector["means"]);
    let Ok(mut request) = ServerTokenRequest::new(text(input, "action")) else {
        expect("calls", provider.requests().len(), 0)?;
        return expect("raw_code", text(means, "raw_code"), "invalid_action");
    };
    let ip = input["binding_ip"]
        .as_str()
        .or_else(|| input["bind_ip"].as_str());
    if let Some(ip) = ip {
        request = request.with_client_ip(ip.parse().unwrap());
    }
    if let Some(uid) = input["bind_uid"].as_str() {
        request = request.with_uid(uid);
    }
    if let Some(ttl) = input["ttl"].as_u64() {
        request = request.with_ttl(std::time::Duration::from_secs(ttl));
    }
    if let Some(uses) = input["max_uses"].as_u64() {
        request = request.with_max_uses(u32::try_from(uses).unwrap());
    }
    match (
        check.issue_server_token(&request).await,
        text(means, "outcome"),
        text(means, "reason"),
    ) {
        (Ok(token), "issued", _) => {
            expect("token", token.token.as_str(), text(means, "server_token"))?;
            expect(
                "expires_in",
                token.expires_in.map(|d| d.as_secs()),
                means["expires_in"].as_u64(),
            )?;
        }
        (Err(error), "error", reason) => {
            let kind = match reason {
                "rate_limited" => ErrorKind::RateLimited,
                "transport" => ErrorKind::Unavailable,
                "malformed_response" => ErrorKind::Protocol,
                _ => ErrorKind::Misconfigured,
            };
            expect("kind", error.kind(), kind)?;
        }
        (issued, outcome, _) => return Err(format!("{outcome} was {issued:?}")),
    }
    // Only the emulator accepts the documented form. The adapter sends JSON, as the provider's
    // libraries.
    if input["encoding"] != "form" {
        same_request(&provider.requests()[0], &vector["request"])?;
    }
    Ok(())
}

fn same_request(request: &Request, recorded: &Value) -> Result<(), String> {
    expect(
        "url",
        request.endpoint().url().as_str(),
        text(recorded, "url"),
    )?;
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    expect("body", &body, &recorded["body"])?;
    let headers = request.headers();
    for (name, value) in recorded["headers"].as_object().unwrap() {
        let sent = headers.get(name.as_str()).and_then(|v| v.to_str().ok());
        expect(name, sent, value.as_str())?;
    }
    Ok(())
}

#[tokio::test]
async fn every_captchala_vector_is_sent_and_judged_as_recorded() {
    run("captchala", captchala_vector).await;
}

#[tokio::test]
async fn explain_reads_captchala_like_the_adapter() {
    run("captchala", |vector| async move {
        let input = &vector["input"];
        if text(input, "operation") != "validate"
            || vector["response"]["status"].is_null()
            || input["allow_offline"] == true
        {
            return Ok(());
        }
        let policy = json!({"action": input["expected_action"], "uid": input["expected_uid"]});
        let explanation = explained(&vector, "captchala", policy, Some(text(input, "token"))).await;
        let provider = recorded_provider(&vector);
        let client = ProviderClient::new(provider);
        let check = CaptchaLa::new(&client, "app", Secret::new("sec").unwrap()).unwrap();
        let mut submission = Submission::new().with_token(&CAPTCHALA, text(input, "token"));
        if let Some(action) = input["expected_action"].as_str() {
            submission = submission.with_expected_action(action.to_owned());
        }
        if let Some(uid) = input["expected_uid"].as_str() {
            submission = submission.with_expected_binding(uid);
        }
        let adapter = Explanation::new(explanation.name.clone(), &check.check(&submission).await);
        expect("explanation", explanation, adapter)
    })
    .await;
}
