//! Replies that accept a token and contradict themselves, also by members of another type or
//! spelling.

use human_check_explain::{Case, explain};
use serde_json::{Value, json};

/// Returns the outcome and the reason for a reply with status 200. `more` has further members of
/// the case, which replace those set here.
async fn explained(provider: &str, body: Value, more: Value) -> (String, String) {
    let mut case = json!({"provider": provider, "status": 200, "body": body.to_string()});
    for (name, value) in more.as_object().unwrap() {
        case[name] = value.clone();
    }
    let case: Case = serde_json::from_value(case).unwrap();
    let explanation = explain(case).await.unwrap();
    (
        explanation.outcome.to_owned(),
        explanation.reason.unwrap_or_default(),
    )
}

async fn outcome(provider: &str, body: Value) -> String {
    explained(provider, body, json!({})).await.0
}

fn assessed(changes: Value) -> Value {
    let mut body = json!({"tokenProperties": {"valid": true}, "riskAnalysis": {"score": 0.9}});
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn an_error_in_an_assessment_never_passes_whatever_its_shape() {
    assert_eq!(
        outcome("recaptcha-enterprise", assessed(json!({}))).await,
        "human"
    );
    assert_eq!(
        outcome("recaptcha-enterprise", assessed(json!({"error": null}))).await,
        "human"
    );
    for error in [
        json!("RESOURCE_EXHAUSTED"),
        json!(true),
        json!(7),
        json!([]),
        json!({}),
        json!({"code": "429"}),
        json!({"code": 70_000}),
        json!({"code": 429, "details": null}),
        json!({"code": 429, "details": {}}),
        json!({"code": 429, "details": ["x", [], {"reason": 5}]}),
    ] {
        let got = outcome("recaptcha-enterprise", assessed(json!({"error": error}))).await;
        assert_ne!(got, "human", "{error}");
    }
    let rate = json!({"error": {"code": 429, "details": ["x", {"reason": "RATE_LIMIT_EXCEEDED"}]}});
    let got = explained("recaptcha-enterprise", rate, json!({"status": 429})).await;
    assert_eq!(got, ("rate-limited".into(), "rate-limited".into()));
}

#[tokio::test]
async fn a_risk_that_cannot_be_read_is_not_taken_from_elsewhere() {
    for (nested, expected) in [
        (json!(95), "not-human"),
        (json!("95"), "not-human"),
        (json!(500), "not-human"),
        (json!(null), "human"),
    ] {
        let body = json!({"code": 0, "msg": "ok", "data": {
            "valid": true, "risk_score": 5, "captcha_args": {"risk_score": nested}}});
        let rules = json!({"policy": {"max_risk": 50}});
        assert_eq!(
            explained("captchala", body, rules).await.0,
            expected,
            "{nested}"
        );
    }
}

#[tokio::test]
async fn a_reason_or_challenge_of_another_type_still_counts() {
    for reason in [
        json!(4),
        json!(["DUPE"]),
        json!({"a": 1}),
        json!(true),
        json!("DUPE"),
        json!(["INVALID_REASON_UNSPECIFIED", "DUPE"]),
        json!(["INVALID_REASON_UNSPECIFIED", 5]),
    ] {
        let body = json!({"tokenProperties": {"valid": true, "invalidReason": reason}});
        assert_ne!(
            outcome("recaptcha-enterprise", body).await,
            "human",
            "{reason}"
        );
    }
    for challenge in [
        json!(3),
        json!(["FAILED"]),
        json!("FAILED"),
        json!("FAIL"),
        json!(false),
        json!("failed"),
    ] {
        let body = assessed(json!({"riskAnalysis": {"score": 0.9, "challenge": challenge}}));
        assert_ne!(
            outcome("recaptcha-enterprise", body).await,
            "human",
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn an_array_is_not_read_as_an_object() {
    for body in [
        json!({"tokenProperties": [true, "", "www.example.com", "", "", "login"], "riskAnalysis": [0.9]}),
        json!({"tokenProperties": [true]}),
        json!({"tokenProperties": {"valid": true}, "riskAnalysis": [0.9]}),
        json!({"tokenProperties": "valid"}),
    ] {
        let got = outcome("recaptcha-enterprise", body.clone()).await;
        assert_eq!(got, "protocol", "{body}");
    }
    for metadata in [
        json!([]),
        json!([{"result_with_testing_key": true}]),
        json!(["a", true, true]),
        json!("x"),
        json!(1),
    ] {
        let body = json!({"success": true, "metadata": metadata});
        assert_eq!(outcome("turnstile", body).await, "protocol", "{metadata}");
    }
}

#[tokio::test]
async fn members_that_only_inform_may_have_any_type() {
    for (name, odd) in [
        ("accountDefenderAssessment", json!("x")),
        ("phoneFraudAssessment", json!([1])),
        ("fraudPreventionAssessment", json!(5)),
        ("name", json!({})),
        (
            "riskAnalysis",
            json!({"score": 0.9, "verifiedBots": "x", "reasons": 5}),
        ),
        (
            "riskAnalysis",
            json!({"score": 0.9, "verifiedBots": [null, [], {"name": 5}]}),
        ),
    ] {
        let got = outcome("recaptcha-enterprise", assessed(json!({name: odd}))).await;
        assert_eq!(got, "human", "{name} {odd}");
    }
}

#[tokio::test]
async fn a_degraded_or_contradicted_captchala_reply_never_passes() {
    let body = |data: Value| json!({"code": 0, "msg": "ok", "data": data});
    assert_eq!(
        outcome("captchala", body(json!({"valid": true, "degraded": false}))).await,
        "human"
    );
    for degraded in [json!(true), json!("true"), json!(1), json!({}), json!([])] {
        let got = outcome(
            "captchala",
            body(json!({"valid": true, "degraded": degraded})),
        )
        .await;
        assert_eq!(got, "declined", "{degraded}");
    }
    for data in [
        json!({"valid": true, "error": "token_expired"}),
        json!({"valid": true, "error": 5}),
    ] {
        assert_eq!(outcome("captchala", body(data)).await, "protocol");
    }
    for contradicted in [
        json!({"code": 0, "msg": "token_expired", "data": {"valid": true}}),
        json!({"code": 0, "msg": "ok", "message": "token_expired", "data": {"valid": true}}),
        json!({"code": 0, "msg": "ok", "error": "token_expired", "data": {"valid": true}}),
        json!({"code": 0, "msg": "ok", "error": "something_new", "data": {"valid": true}}),
        json!({"code": 0, "msg": "ok", "error": 7, "data": {"valid": true}}),
    ] {
        assert_eq!(
            outcome("captchala", contradicted.clone()).await,
            "protocol",
            "{contradicted}"
        );
    }
    for degraded in [
        json!({"code": 0, "msg": "ok", "degraded": true, "data": {"valid": true}}),
        json!({"code": 0, "msg": "ok", "data": {"valid": true, "reason": "quota_exhausted"}}),
    ] {
        assert_eq!(
            outcome("captchala", degraded.clone()).await,
            "declined",
            "{degraded}"
        );
    }
    // An error of the credentials has precedence over errors of the token.
    let wrong_credentials = json!({"code": 401, "error": "invalid_app_secret", "data": {"valid": false, "degraded": true}});
    assert_eq!(
        explained("captchala", wrong_credentials, json!({"status": 401}))
            .await
            .0,
        "misconfigured"
    );
}

#[tokio::test]
async fn test_tokens_are_known_in_every_spelling() {
    for host in [
        "testkey.google.com",
        "TESTKEY.google.com",
        "testkey.google.com.",
        "testkey.google.com:443",
    ] {
        let body = json!({"success": true, "hostname": host});
        assert_ne!(outcome("recaptcha-v2", body).await, "human", "{host}");
    }
    for host in ["dummy-key-pass", "Dummy-Key-Pass", "dummy-key-pass."] {
        let got = explained(
            "hcaptcha",
            json!({"success": true, "hostname": host}),
            json!({}),
        )
        .await;
        assert_eq!(got, ("not-human".into(), "test-key".into()), "{host}");
    }
}

#[tokio::test]
async fn a_site_key_or_score_of_another_type_still_contradicts() {
    for site_key in [json!("other"), json!(["other"]), json!(5), json!({})] {
        let body = json!({"success": true, "sitekey": site_key});
        let got = explained("hcaptcha", body, json!({"site_key": "own"})).await;
        assert_eq!(
            got,
            ("not-human".into(), "wrong-site-key".into()),
            "{site_key}"
        );
    }
    for score in [json!(0.1), json!(2), json!("high"), json!([])] {
        let body = json!({"success": true, "score": score});
        assert_eq!(
            outcome("recaptcha-v2", body).await,
            "misconfigured",
            "{score}"
        );
    }
}

#[tokio::test]
async fn a_v3_reply_without_action_or_with_an_impossible_score_is_no_pass() {
    assert_eq!(
        outcome(
            "recaptcha-v3",
            json!({"success": true, "score": 0.9, "action": ""})
        )
        .await,
        "human"
    );
    let got = explained(
        "recaptcha-v3",
        json!({"success": true, "score": 0.9}),
        json!({}),
    )
    .await;
    assert_eq!(got, ("not-human".into(), "action-absent".into()));
    for score in [json!(1.5), json!(-1), json!("NaN"), json!([0.9])] {
        let body = json!({"success": true, "score": score, "action": "login"});
        assert_eq!(outcome("recaptcha-v3", body).await, "protocol", "{score}");
    }
}

#[tokio::test]
async fn a_configuration_code_is_found_in_any_position_and_with_any_status() {
    let mut codes = vec!["invalid-input-response"; 40];
    codes.push("invalid-input-secret");
    let body = json!({"success": false, "error-codes": codes});
    assert_eq!(outcome("turnstile", body).await, "misconfigured");
    for (status, no_verdict) in [
        (429, "rate-limited"),
        (500, "unavailable"),
        (503, "unavailable"),
    ] {
        let wrong_secret = json!({"success": false, "error-codes": ["invalid-input-secret"]});
        assert_eq!(
            explained("turnstile", wrong_secret, json!({"status": status}))
                .await
                .0,
            "misconfigured",
            "{status}"
        );
        // A refusal of the token is no outage, even if the provider sends it with a status 5xx.
        let wrong_token = json!({"success": false, "error-codes": ["invalid-input-response"]});
        assert_eq!(
            explained("turnstile", wrong_token, json!({"status": status}))
                .await
                .0,
            "not-human",
            "{status}"
        );
        // A reply with a status 5xx never passes, and `success` makes its codes irrelevant.
        let both = json!({"success": true, "error-codes": ["invalid-input-secret"]});
        assert_eq!(
            explained("turnstile", both, json!({"status": status}))
                .await
                .0,
            no_verdict,
            "{status}"
        );
        let yes = json!({"success": true});
        assert_eq!(
            explained("turnstile", yes, json!({"status": status}))
                .await
                .0,
            no_verdict,
            "{status}"
        );
    }
}

#[tokio::test]
async fn removing_a_stated_origin_never_helps() {
    // A match in one of the two lists is enough, whatever the other member has.
    let rule = json!({"policy": {"hostnames": ["www.example.com"], "apps": ["com.example.app"]}});
    for host in [
        json!("evil.example"),
        json!("https://evil.example"),
        json!({"a": 1}),
        Value::Null,
    ] {
        let body =
            json!({"success": true, "hostname": host, "apk_package_name": "com.example.app"});
        assert_eq!(
            explained("recaptcha-v2", body, rule.clone()).await.0,
            "human",
            "{host}"
        );
        let body = json!({"success": true, "hostname": host, "apk_package_name": "com.evil"});
        assert_eq!(
            explained("recaptcha-v2", body, rule.clone()).await.0,
            "not-human",
            "{host}"
        );
    }
}

#[tokio::test]
async fn googles_statuses_are_told_apart() {
    for (status, expected) in [
        (408, "unavailable"),
        (409, "unavailable"),
        (499, "unavailable"),
        (501, "misconfigured"),
        (504, "unavailable"),
        (418, "misconfigured"),
        (302, "protocol"),
        (204, "protocol"),
    ] {
        let got = explained("recaptcha-enterprise", json!({}), json!({"status": status}))
            .await
            .0;
        assert_eq!(got, expected, "{status}");
    }
}
