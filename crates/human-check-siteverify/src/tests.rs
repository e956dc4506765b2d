use crate::{Dialect, ScoreScale, SiteVerify};
use human_check_core::{
    ErrorKind, HumanCheck, Provider, Reason, Secret, Submission, TestKeyPolicy, Verdict,
};
use human_check_http::adapter::siteverify::CodeClass;
use human_check_http::adapter::timestamp;
use human_check_http::{Endpoint, MockTransport, ProviderClient, Reply};

fn outcome(dialect: &Dialect, status: u16, body: &'static str) -> String {
    match dialect.judge(&Reply::new(status, body)) {
        Ok(Verdict::Human(_)) => "human".into(),
        Ok(Verdict::NotHuman(refusal)) => {
            let alert = if refusal.is_alert() { "!" } else { "" };
            format!("{}{alert}", refusal.reason())
        }
        Err(error) => format!("{} {}", error.kind(), error.reason()),
    }
}

fn instance() -> Endpoint {
    Endpoint::literal("https://captcha.example/base/")
}

#[test]
fn cap_refuses_by_status_and_string() {
    let cap = Dialect::cap(&instance(), "key").unwrap();
    assert_eq!(cap.endpoint.url().path(), "/base/key/siteverify");
    for (status, body, expected) in [
        (200, r#"{"success":true}"#, "human"),
        (200, r#"{"success":"true"}"#, "protocol no-verdict"),
        (200, "{}", "protocol no-verdict"),
        (
            404,
            r#"{"success":false,"error":"Token not found"}"#,
            "invalid",
        ),
        (
            403,
            r#"{"success":false,"error":"Token expired"}"#,
            "expired",
        ),
        (
            403,
            r#"{"error":"Invalid site key or secret"}"#,
            "misconfigured secret",
        ),
        (
            404,
            r#"{"error":"Invalid site key or secret"}"#,
            "wrong-site-key",
        ),
        (400, r#"{"error":"Missing required parameters"}"#, "invalid"),
        (404, "<html>", "misconfigured request-rejected"),
        (
            403,
            r#"{"error":"something new"}"#,
            "misconfigured request-rejected",
        ),
        (500, r#"{"success":true}"#, "unavailable server-error"),
    ] {
        assert_eq!(outcome(&cap, status, body), expected, "{status} {body}");
    }
}

#[test]
fn friendly_captcha_reads_nested_members() {
    let friendly = Dialect::friendly_captcha("site").unwrap();
    let yes = r#"{"success":true,"data":{"event_id":"e","challenge":{"timestamp":"2023-08-04T13:01:25Z","origin":"https://example.com"}}}"#;
    let verdict = friendly.judge(&Reply::new(200, yes)).unwrap();
    let facts = verdict.facts().unwrap();
    assert_eq!(facts.hostname.as_ref().unwrap().as_str(), "example.com");
    assert_eq!(facts.solved_at, timestamp("2023-08-04T13:01:25Z"));
    let old =
        r#"{"success":true,"data":{"challenge":{"timestamp":1691154085,"origin":"example.com"}}}"#;
    let verdict = friendly.judge(&Reply::new(200, old)).unwrap();
    assert_eq!(
        verdict.facts().unwrap().solved_at,
        timestamp("2023-08-04T13:01:25Z")
    );
    for (status, code, expected) in [
        (200, "response_invalid", "invalid"),
        (200, "response_timeout", "expired"),
        (200, "response_duplicate", "replayed"),
        (400, "sitekey_invalid", "misconfigured site_key"),
        (401, "auth_invalid", "misconfigured secret"),
        (200, "new_code", "other"),
    ] {
        let body = format!(r#"{{"success":false,"error":{{"error_code":"{code}","detail":"x"}}}}"#);
        assert_eq!(outcome(&friendly, status, body.leak()), expected);
    }
    let request = friendly
        .build(&Secret::new("api-key").unwrap(), "t", &Submission::new())
        .unwrap();
    assert_eq!(request.headers()["x-api-key"], "api-key");
    assert!(request.headers()["x-api-key"].is_sensitive());
    assert_eq!(
        request.body().as_ref(),
        br#"{"response":"t","sitekey":"site"}"#
    );
}

#[test]
fn mcaptcha_and_captchafox_follow_their_dialects() {
    let mcaptcha = Dialect::mcaptcha(&instance(), "key").unwrap();
    for (status, body, expected) in [
        (200, r#"{"valid":true}"#, "human"),
        (200, r#"{"valid":false}"#, "other"),
        (200, r#"{"success":true}"#, "protocol no-verdict"),
        (401, r#"{"error":"wrong"}"#, "misconfigured secret"),
        (404, "", "misconfigured site_key"),
        (400, r#"{"error":"x"}"#, "other"),
    ] {
        assert_eq!(
            outcome(&mcaptcha, status, body),
            expected,
            "{status} {body}"
        );
    }
    let fox = Dialect::captchafox("site").unwrap();
    assert_eq!(
        outcome(
            &fox,
            200,
            r#"{"success":false,"error-codes":["invalid-input-secret"]}"#
        ),
        "misconfigured secret"
    );
    let submission = Submission::new().with_client_ip("203.0.113.7".parse().unwrap());
    let request = fox
        .build(&Secret::new("s").unwrap(), "t", &submission)
        .unwrap();
    assert_eq!(
        request.body().as_ref(),
        b"secret=s&response=t&sitekey=site&remoteIp=203.0.113.7"
    );
}

#[test]
fn an_error_of_another_shape_beside_success_does_not_pass() {
    let friendly = Dialect::friendly_captcha("site").unwrap();
    for error in [
        r#""auth_invalid""#,
        r#"{"code":"x"}"#,
        r#"["x"]"#,
        r#"{"error_code":""}"#,
        "5",
        "true",
    ] {
        let body = format!(r#"{{"success":true,"error":{error}}}"#);
        assert_eq!(
            outcome(&friendly, 200, body.leak()),
            "protocol success-contradicted",
            "{error}"
        );
    }
    for error in ["null", "{}", r#"{"error_code":null,"detail":null}"#] {
        let body = format!(r#"{{"success":true,"error":{error}}}"#);
        assert_eq!(outcome(&friendly, 200, body.leak()), "human", "{error}");
    }
    let fox = Dialect::captchafox("site").unwrap();
    for (status, code, expected) in [
        (500, "invalid-input-response", "invalid"),
        (429, "timeout-or-duplicate", "expired-or-replayed"),
        (503, "invalid-input-secret", "misconfigured secret"),
        (500, "new-code", "unavailable server-error"),
    ] {
        let body = format!(r#"{{"success":false,"error-codes":["{code}"]}}"#);
        assert_eq!(
            outcome(&fox, status, body.leak()),
            expected,
            "{status} {code}"
        );
    }
}

#[test]
fn codes_beside_the_verdict_and_codes_that_are_numbers_are_read() {
    let acme = Dialect::new(
        Provider::new("acme", &[]),
        Endpoint::literal("https://acme.example/"),
    )
    .with_success_at("data.valid")
    .with_codes_at("data.error")
    .with_code("1001", CodeClass::Refused(Reason::Expired));
    for (body, expected) in [
        (r#"{"data":{"valid":true}}"#, "human"),
        (r#"{"data":{"valid":true,"error":null}}"#, "human"),
        (r#"{"data":{"valid":false,"error":1001}}"#, "expired"),
        (r#"{"data":{"valid":false,"error":["1001"]}}"#, "expired"),
        (r#"{"data":{"valid":false,"error":[1001]}}"#, "expired"),
        (
            r#"{"data":{"valid":true,"error":1001}}"#,
            "protocol success-contradicted",
        ),
        (
            r#"{"data":{"valid":true,"error":{"x":1}}}"#,
            "protocol success-contradicted",
        ),
        (r#"{"data":[true]}"#, "protocol no-verdict"),
    ] {
        assert_eq!(outcome(&acme, 200, body), expected, "{body}");
    }
    let deeper = acme.with_codes_at("data.error.code");
    for (error, expected) in [
        ("null", "human"),
        (r#"{"code":null}"#, "human"),
        (r#"{"code":1001}"#, "protocol success-contradicted"),
        (r#""blocked""#, "protocol success-contradicted"),
        (r#"{"message":"blocked"}"#, "protocol success-contradicted"),
        (r#"[{"code":"used"}]"#, "protocol success-contradicted"),
    ] {
        let body = format!(r#"{{"data":{{"valid":true,"error":{error}}}}}"#);
        assert_eq!(outcome(&deeper, 200, body.leak()), expected, "{error}");
    }
}

#[test]
fn one_member_may_hold_the_verdict_and_the_codes() {
    let acme = Dialect::new(
        Provider::new("acme", &[]),
        Endpoint::literal("https://acme.example/"),
    )
    .with_success_at("status")
    .with_success_text("ok")
    .with_codes_at("status")
    .with_code("used", CodeClass::Refused(Reason::Replayed));
    assert_eq!(outcome(&acme, 200, r#"{"status":"ok"}"#), "human");
    assert_eq!(outcome(&acme, 200, r#"{"status":"used"}"#), "replayed");
    assert_eq!(outcome(&acme, 200, r#"{"status":"new"}"#), "other");
    assert_eq!(
        outcome(&acme, 200, r#"{"status":true}"#),
        "protocol no-verdict"
    );
}

#[test]
fn a_published_test_secret_is_refused_unless_test_keys_are_allowed() {
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, "{}")));
    let secret = || Secret::new("ok_11111111000000001111111100000000").unwrap();
    let fox = || Dialect::captchafox("site").unwrap();
    let error = SiteVerify::new(&client, fox(), secret()).unwrap_err();
    assert_eq!(error.field(), "secret");
    let allowing = client.with_test_keys(TestKeyPolicy::Allowed);
    assert!(SiteVerify::new(&allowing, fox(), secret()).is_ok());
}

#[test]
fn a_dialect_that_would_lose_a_member_or_a_score_is_refused() {
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, "")));
    static ACME: Provider = Provider::new("acme", &["acme-response"]);
    let dialect = Dialect::new(ACME.clone(), instance());
    for name in ["response", "secret", "remoteip"] {
        let twice = dialect.clone().with_constant(name, "fixed");
        assert!(
            SiteVerify::new(&client, twice, Secret::new("s").unwrap()).is_err(),
            "{name}"
        );
    }
    for max in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let without_range = dialect
            .clone()
            .with_score_at("score", ScoreScale::Risk(max));
        assert!(
            SiteVerify::new(&client, without_range, Secret::new("s").unwrap()).is_err(),
            "{max}"
        );
    }
    assert!(Dialect::friendly_captcha(" ").is_err() && Dialect::cap(&instance(), "").is_err());
}

#[test]
fn the_last_rule_for_a_code_counts() {
    static ACME: Provider = Provider::new("acme", &["acme-response"]);
    let dialect = Dialect::new(ACME.clone(), instance())
        .with_code("bad-request", CodeClass::Refused(Reason::Malformed));
    let body = r#"{"success":false,"error-codes":["bad-request"]}"#;
    assert_eq!(outcome(&dialect, 200, body), "malformed");
    let dialect = dialect.with_status(418, None, CodeClass::Misconfigured("teapot"));
    assert_eq!(outcome(&dialect, 418, body), "misconfigured teapot");
    assert_eq!(outcome(&dialect, 400, body), "malformed");
}

#[tokio::test]
async fn a_widget_that_is_not_solved_causes_no_call() {
    let provider = MockTransport::always(Reply::new(200, r#"{"success":true}"#));
    let check = SiteVerify::new(
        &ProviderClient::new(provider.clone()),
        Dialect::friendly_captcha("site").unwrap(),
        Secret::new("k").unwrap(),
    )
    .unwrap();
    let submission = Submission::new().with_token(&check.providers()[0], ".SOLVING");
    let verdict = check.check(&submission).await.unwrap();
    assert_eq!(verdict.refusal().unwrap().reason(), Reason::Missing);
    assert_eq!(provider.requests().len(), 0);
}

#[tokio::test]
async fn a_verdict_in_words_and_a_text_that_is_no_code_are_declarable() {
    static WORDS: Provider = Provider::new("words", &["words-response"]);
    let dialect = || {
        Dialect::new(
            WORDS.clone(),
            Endpoint::literal("https://words.example/validate"),
        )
        .with_success_at("status")
        .with_success_text("ok")
        .with_codes_at("status")
        .with_ignored_code("ok")
        .with_code("expired", CodeClass::Refused(Reason::Expired))
    };
    for (body, expected) in [
        (r#"{"status":"ok"}"#, "human"),
        (r#"{"status":"expired"}"#, "expired"),
        (r#"{"status":"failed"}"#, "other"),
        (r#"{"status":"OK"}"#, "other"),
        (r#"{"status":true}"#, "protocol"),
        (r#"{"status":["ok"]}"#, "protocol"),
        (r#"{"status":{}}"#, "protocol"),
        (r#"{}"#, "protocol"),
    ] {
        let reply = Reply::new(200, body);
        let outcome = match dialect().judge(&reply) {
            Ok(Verdict::Human(_)) => "human".to_owned(),
            Ok(Verdict::NotHuman(refusal)) => refusal.reason().as_str().to_owned(),
            Err(error) => error.kind().as_str().to_owned(),
        };
        assert_eq!(outcome, expected, "{body}");
    }
    // In the place of a boolean, a text that is ignored is no yes.
    let codes = Dialect::new(
        WORDS.clone(),
        Endpoint::literal("https://words.example/validate"),
    )
    .with_codes_at("status")
    .with_ignored_code("ok");
    let judged = codes.judge(&Reply::new(200, r#"{"success":true,"status":"ok"}"#));
    assert!(judged.unwrap().is_human());
    let judged = codes.judge(&Reply::new(200, r#"{"status":"ok"}"#));
    assert_eq!(judged.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn the_widgets_are_those_that_the_scripts_look_for() {
    let instance = Endpoint::literal("https://cap.example.com");
    let cap = crate::widget_cap(&instance, "key", "/cap/cap.min.js").unwrap();
    assert_eq!(
        (cap.spec().element, cap.field()),
        ("cap-widget", "cap-token")
    );
    let fox = crate::widget_captchafox("sk_1").unwrap();
    assert_eq!(
        (fox.spec().class, fox.field()),
        ("captchafox", "cf-captcha-response")
    );
    let friendly = crate::widget_friendly_captcha("FC1", "/fc/site.min.js").unwrap();
    assert_eq!(friendly.script_url(), "/fc/site.min.js");
    assert!(crate::widget_cap(&instance, " ", "/x").is_err());
}
