//! The emulator: its state, the ttl of tokens, the providers' order of decisions, and the control
//! API.

use std::time::Duration;

use human_check_config::ProviderKind;
use human_check_core::{HumanCheck, Reason, Refusal};
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_testkit::ManualClock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{GENERIC, HOST, check, client, generic, minted, submission};

/// Sends one request over a socket of its own, without a client library. Returns the status and the
/// JSON body.
async fn send(
    emulator: &Emulator,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> (u16, Value) {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let status = reply.split(' ').nth(1).unwrap().parse().unwrap();
    let body = reply.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Returns the second emulated account of a provider.
fn other_account(provider: &str) -> EmulatedAccount {
    EmulatedAccount::built_in()
        .into_iter()
        .filter(|s| s.provider == provider)
        .nth(1)
        .unwrap()
}

#[tokio::test]
async fn tokens_expire_as_the_providers_state() {
    for (provider, ttl, expected) in [
        (ProviderKind::Turnstile, 300, Reason::ExpiredOrReplayed),
        (ProviderKind::Hcaptcha, 120, Reason::Expired),
        (ProviderKind::RecaptchaV2, 120, Reason::ExpiredOrReplayed),
        (ProviderKind::RecaptchaV3, 120, Reason::ExpiredOrReplayed),
        (ProviderKind::RecaptchaEnterprise, 120, Reason::Expired),
        (ProviderKind::CaptchaLa, 120, Reason::Expired),
    ] {
        let clock = ManualClock::starting_now();
        let emulator = Emulator::start_at(clock.clone()).await.unwrap();
        let check = check(provider, &emulator, &client());
        let (on_time, late) = (minted(provider, &emulator), minted(provider, &emulator));
        clock.advance(Duration::from_secs(ttl));
        assert!(
            check.check(&on_time).await.unwrap().is_human(),
            "{provider:?}"
        );
        clock.advance(Duration::from_secs(1));
        let refused = check.check(&late).await.unwrap();
        assert_eq!(
            refused.refusal().map(Refusal::reason),
            Some(expected),
            "{provider:?}"
        );
    }
}

#[tokio::test]
async fn tens_of_thousands_of_tokens_are_kept_and_a_knob_sets_how_many() {
    let emulator = Emulator::start().await.unwrap();
    let check = check(ProviderKind::Turnstile, &emulator, &client());
    let mint = || emulator.mint(&Mint::for_provider("turnstile")).unwrap();
    let passes = async |token: &str| {
        let submission = submission(ProviderKind::Turnstile, token.to_owned());
        check.check(&submission).await.unwrap().is_human()
    };
    let first = mint();
    for _ in 0..40_000 {
        mint();
    }
    assert!(passes(&first).await, "two providers of 20,000 tokens");
    emulator.configure(|knobs| knobs.max_tokens = Some(2));
    let [one, two, three] = std::array::from_fn(|_| mint());
    assert!(!passes(&one).await && passes(&two).await && passes(&three).await);

    assert_eq!(emulator.requests().len(), 4);
    emulator.configure(|knobs| knobs.max_requests = Some(2));
    assert!(!passes("unknown").await);
    assert_eq!(emulator.requests().len(), 2);
}

#[tokio::test]
async fn a_foreign_token_is_refused_with_an_alert_if_the_key_may_be_wrong() {
    for (provider, expected, alert) in [
        (ProviderKind::Turnstile, Reason::Invalid, false),
        (ProviderKind::Hcaptcha, Reason::WrongSiteKey, true),
        (ProviderKind::RecaptchaV2, Reason::WrongSiteKey, true),
        (ProviderKind::RecaptchaV3, Reason::WrongSiteKey, true),
        (
            ProviderKind::RecaptchaEnterprise,
            Reason::WrongSiteKey,
            true,
        ),
        (ProviderKind::CaptchaLa, Reason::Invalid, false),
    ] {
        let emulator = Emulator::start().await.unwrap();
        let check = check(provider, &emulator, &client());
        let name = provider.provider().name();
        let mint = Mint::for_provider(name).with_site_key(other_account(name).site_key);
        let verdict = check
            .check(&submission(provider, emulator.mint(&mint).unwrap()))
            .await
            .unwrap();
        let refusal = verdict.refusal().unwrap();
        assert_eq!(
            (refusal.reason(), refusal.is_alert()),
            (expected, alert),
            "{provider:?}"
        );
    }
}

#[tokio::test]
async fn the_providers_of_the_generic_adapter_accept_their_own_tokens_once() {
    for name in GENERIC {
        let emulator = Emulator::start().await.unwrap();
        let check = generic(name, &emulator, &client());
        let provider = check.providers()[0].clone();
        let mint = |mint: Mint| {
            human_check_core::Submission::new().with_token(&provider, emulator.mint(&mint).unwrap())
        };
        let good = mint(Mint::for_provider(name).with_hostname(HOST));
        assert!(check.check(&good).await.unwrap().is_human(), "{name}");
        assert!(
            !check.check(&good).await.unwrap().is_human(),
            "{name} twice"
        );
        let old = mint(Mint::for_provider(name).with_age(Duration::from_secs(10_000)));
        assert!(!check.check(&old).await.unwrap().is_human(), "{name} old");
        let foreign = mint(Mint::for_provider(name).with_site_key(other_account(name).site_key));
        assert!(
            !check.check(&foreign).await.unwrap().is_human(),
            "{name} foreign"
        );
    }
}

#[tokio::test]
async fn turnstile_decides_in_its_order() {
    let emulator = Emulator::start().await.unwrap();
    let path = "/turnstile/v0/siteverify";
    let account = EmulatedAccount::for_provider("turnstile");
    let code = |(status, body): (u16, Value)| {
        (
            status,
            body["error-codes"][0].as_str().unwrap_or("").to_owned(),
        )
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        code(send(&emulator, "POST", path, JSON, "{\"secret\":").await),
        refused(400, "bad-request")
    );
    assert_eq!(
        code(send(&emulator, "POST", path, "text/plain", "x").await),
        refused(400, "bad-request")
    );
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, "response=x").await),
        refused(400, "missing-input-secret")
    );
    // Turnstile checks the secret before the token.
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, "secret=no&response=x").await),
        refused(400, "invalid-input-secret")
    );
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, "secret=no").await),
        refused(400, "invalid-input-secret")
    );
    let secret = &account.secret;
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, &format!("secret={secret}")).await),
        refused(200, "missing-input-response")
    );
    let key = format!("secret={secret}&response=x&idempotency_key=no");
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, &key).await),
        refused(400, "bad-request")
    );
    let dummy = format!("secret={secret}&response=XXXX.DUMMY.TOKEN.XXXX");
    assert_eq!(
        code(send(&emulator, "POST", path, FORM, &dummy).await),
        refused(200, "invalid-input-response")
    );
    assert_eq!(send(&emulator, "GET", path, FORM, "").await.0, 405);
    // Turnstile accepts JSON and multipart as well as a form.
    let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
    let (_, body) = send(
        &emulator,
        "POST",
        path,
        JSON,
        &json!({"secret": secret, "response": token}).to_string(),
    )
    .await;
    assert_eq!(
        (
            &body["success"],
            &body["action"],
            &body["metadata"]["interactive"]
        ),
        (&json!(true), &json!(""), &json!(false))
    );
    let token = emulator
        .mint(&Mint::for_provider("turnstile").with_action("login"))
        .unwrap();
    let parts = format!(
        "--b\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\n{secret}\r\n--b\r\nContent-Disposition: form-data; name=\"response\"\r\n\r\n{token}\r\n--b--\r\n"
    );
    let (_, body) = send(
        &emulator,
        "POST",
        path,
        "multipart/form-data; boundary=b",
        &parts,
    )
    .await;
    assert_eq!(
        (&body["success"], &body["action"]),
        (&json!(true), &json!("login"))
    );
}

#[tokio::test]
async fn test_keys_reply_as_recorded() {
    let emulator = Emulator::start().await.unwrap();
    let path = "/turnstile/v0/siteverify";
    for (digit, success, code) in [
        ("1", true, Value::Null),
        ("2", false, json!("invalid-input-response")),
        ("3", false, json!("timeout-or-duplicate")),
    ] {
        let body = format!("secret={digit}x0000000000000000000000000000000AA&response=anything");
        let (status, body) = send(&emulator, "POST", path, FORM, &body).await;
        assert_eq!(
            (status, &body["success"], &body["error-codes"][0]),
            (200, &json!(success), &code)
        );
        assert_eq!(body["metadata"]["result_with_testing_key"], json!(true));
    }
    let zero = "0x0000000000000000000000000000000000000000";
    let body = format!("secret={zero}&response=30000000-aaaa-bbbb-cccc-000000000003");
    let (_, body) = send(&emulator, "POST", "/siteverify", FORM, &body).await;
    assert_eq!(
        (&body["success"], &body["score"], &body["hostname"]),
        (&json!(true), &json!(1), &json!("dummy-key-pass"))
    );
    let (_, body) = send(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        "secret=other&response=10000000-aaaa-bbbb-cccc-000000000001",
    )
    .await;
    assert_eq!(body["error-codes"], json!(["not-using-dummy-secret"]));
    let body = "secret=6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe&response=anything";
    let (_, body) = send(&emulator, "POST", "/recaptcha/api/siteverify", FORM, body).await;
    assert_eq!(
        (&body["success"], &body["hostname"]),
        (&json!(true), &json!("testkey.google.com"))
    );
}

#[tokio::test]
async fn hcaptcha_and_recaptcha_decide_in_their_order() {
    let emulator = Emulator::start().await.unwrap();
    let codes = |body: Value| body["error-codes"].clone();
    // hCaptcha does not accept JSON, and checks the token before the secret.
    let (_, body) = send(&emulator, "POST", "/siteverify", JSON, "{}").await;
    assert_eq!(
        codes(body),
        json!(["missing-input-response", "missing-input-secret"])
    );
    let (_, body) = send(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        "response=bad&secret=bad",
    )
    .await;
    assert_eq!(codes(body), json!(["invalid-input-response"]));
    let token = emulator.mint(&Mint::for_provider("hcaptcha")).unwrap();
    let (_, body) = send(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        &format!("response={token}&secret=bad"),
    )
    .await;
    assert_eq!(codes(body), json!(["invalid-input-secret"]));
    // reCAPTCHA reports both errors, the token first, and refuses a repeated parameter.
    let path = "/recaptcha/api/siteverify";
    let (_, body) = send(&emulator, "POST", path, FORM, "response=bad&secret=bad").await;
    assert_eq!(
        codes(body),
        json!(["invalid-input-response", "invalid-input-secret"])
    );
    let (_, body) = send(&emulator, "POST", path, JSON, "{}").await;
    assert_eq!(
        codes(body),
        json!(["missing-input-response", "missing-input-secret"])
    );
    let (_, body) = send(
        &emulator,
        "POST",
        path,
        FORM,
        "secret=a&secret=b&response=x",
    )
    .await;
    assert_eq!(codes(body), json!(["bad-request"]));
}

#[tokio::test]
async fn captchala_issues_tokens_for_both_published_requests() {
    let emulator = Emulator::start().await.unwrap();
    let account = EmulatedAccount::for_provider("captchala");
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let body = "action=login&ttl=300&max_uses=1&bind_ip=1.2.3.4";
    let request = format!(
        "POST /v1/server/challenge/issue HTTP/1.1\r\nx-app-key: {}\r\nx-app-secret: {}\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n{body}",
        account.site_key,
        account.secret,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let reply: Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
    let token = reply["data"]["server_token"].as_str().unwrap();
    let elsewhere = Mint::for_provider("captchala")
        .with_server_token(token)
        .with_user_ip("5.6.7.8");
    assert_eq!(
        emulator.mint(&elsewhere).unwrap_err().to_string(),
        "server_token_binding_mismatch"
    );
    let (status, body) = send(&emulator, "POST", "/v1/challenge/verify", JSON, "{}").await;
    assert_eq!(
        (status, &body["error"]),
        (404, &json!("not_found")),
        "an endpoint that only the provider's prose names"
    );
}

/// Any page in a browser on the same machine can send such requests, by a form or by a host name
/// that resolves to this machine.
#[tokio::test]
async fn pages_in_a_browser_cannot_use_the_control_api() {
    let emulator = Emulator::start().await.unwrap();
    let mint = r#"{"provider":"turnstile"}"#;
    for header in [
        "origin: https://evil.example",
        "origin: null",
        "sec-fetch-site: cross-site",
        "sec-fetch-site: same-origin",
    ] {
        for (method, path, body) in [
            ("POST", "/emulator/mint", mint),
            ("POST", "/emulator/knobs", r#"{"quota_used_up":true}"#),
            ("POST", "/emulator/fail", r#"{"fault":"stall"}"#),
            ("GET", "/emulator/accounts", ""),
            ("GET", "/emulator/requests", ""),
        ] {
            let kind = format!("text/plain\r\n{header}");
            let (status, _) = send(&emulator, method, path, &kind, body).await;
            assert_eq!(status, 403, "{header}: {path}");
        }
    }
    // A request from the address bar of a browser.
    let typed = format!("{JSON}\r\nsec-fetch-site: none");
    let (status, _) = send(&emulator, "GET", "/emulator/accounts", &typed, "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn the_memory_of_the_emulator_is_bounded() {
    let emulator = Emulator::start().await.unwrap();
    let long = format!("response={}", "a".repeat(500_000));
    let form = "application/x-www-form-urlencoded";
    send(&emulator, "POST", "/turnstile/v0/siteverify", form, &long).await;
    assert_eq!(emulator.requests()[0].body.len(), 16_384);
    let fault = r#"{"fault":{"html":{"status":503}},"times":1}"#;
    for n in 0..1_001 {
        let (status, _) = send(&emulator, "POST", "/emulator/fail", JSON, fault).await;
        assert_eq!(status, if n < 1_000 { 200 } else { 400 }, "{n}");
    }
}

#[tokio::test]
async fn the_control_api_serves_clients_in_other_processes() {
    let emulator = Emulator::start().await.unwrap();
    let (_, sites) = send(&emulator, "GET", "/emulator/accounts", JSON, "").await;
    assert_eq!(sites.as_array().unwrap().len(), 20);
    let (status, minted) = send(
        &emulator,
        "POST",
        "/emulator/mint",
        JSON,
        r#"{"provider":"turnstile","action":"login"}"#,
    )
    .await;
    assert_eq!(status, 200);
    let token = minted["token"].as_str().unwrap();
    assert_eq!(
        send(
            &emulator,
            "POST",
            "/emulator/fail",
            JSON,
            r#"{"fault":{"html":{"status":503}},"times":1}"#
        )
        .await
        .0,
        200
    );
    let verify = format!(
        "secret={}&response={token}",
        EmulatedAccount::for_provider("turnstile").secret
    );
    assert_eq!(
        send(&emulator, "POST", "/turnstile/v0/siteverify", FORM, &verify)
            .await
            .0,
        503
    );
    let (_, body) = send(&emulator, "POST", "/turnstile/v0/siteverify", FORM, &verify).await;
    assert_eq!(body["action"], json!("login"));
    let (_, requests) = send(&emulator, "GET", "/emulator/requests", JSON, "").await;
    assert!(!requests.to_string().contains(token), "{requests}");
    for (path, body) in [
        ("mint", "{}"),
        ("mint", r#"{"provider":"unknown"}"#),
        ("mint", r#"{"provider":"turnstile","hostnme":"x"}"#),
        ("fail", "{}"),
        ("knobs", r#"{"nope":1}"#),
        ("other", ""),
    ] {
        let (status, error) =
            send(&emulator, "POST", &format!("/emulator/{path}"), JSON, body).await;
        assert_eq!(status, 400, "{path} {body}");
        assert!(
            error["error"].as_str().is_some_and(|e| !e.is_empty()),
            "{path} {body}"
        );
    }
}

#[tokio::test]
async fn nothing_a_client_sends_takes_the_emulator_down() {
    let emulator = Emulator::start().await.unwrap();
    let (status, _) = send(
        &emulator,
        "POST",
        "/emulator/mint",
        JSON,
        r#"{"provider":"turnstile","length":1099511627776}"#,
    )
    .await;
    assert_eq!(status, 400);
    let huge = format!(
        r#"{{"fault":{{"oversized":{{"bytes":{}}}}},"times":1}}"#,
        usize::MAX
    );
    assert_eq!(
        send(&emulator, "POST", "/emulator/fail", JSON, &huge)
            .await
            .0,
        200
    );
    let (status, _) = send(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        "response=x&secret=y",
    )
    .await;
    assert_eq!(status, 200);
    let old = r#"{"provider":"turnstile","age_s":18446744073709551615}"#;
    assert_eq!(
        send(&emulator, "POST", "/emulator/mint", JSON, old).await.0,
        400
    );
    // An assertion that expires before it was issued, with an invalid signature.
    let assertion = "eyJ9.eyJpc3MiOiJkZW1vQGRlbW8tcHJvamVjdC5pYW0uZ3NlcnZpY2VhY2NvdW50LmV4YW1wbGUiLCJpYXQiOjQxMDI0NDQ4MDAsImV4cCI6MX0.AAAA";
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let body = format!("grant_type={grant}&assertion={assertion}");
    assert_eq!(send(&emulator, "POST", "/token", FORM, &body).await.0, 400);
    assert_eq!(
        send(&emulator, "GET", "/emulator/accounts", JSON, "")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn hcaptchas_secret_is_an_accounts_and_the_site_key_tells_its_sites_apart() {
    let emulator = Emulator::start().await.unwrap();
    let first = EmulatedAccount::for_provider("hcaptcha");
    let second = EmulatedAccount {
        site_key: "b0000000-0000-4000-8000-000000000001".to_owned(),
        ..first.clone()
    };
    emulator.add_account(second.clone());
    let mint = Mint::for_provider("hcaptcha").with_site_key(&second.site_key);
    let token = emulator.mint(&mint).unwrap();
    // The check sends its site key, so a token of the account's other site does not pass.
    let check = check(ProviderKind::Hcaptcha, &emulator, &client());
    let verdict = check
        .check(&submission(ProviderKind::Hcaptcha, token.clone()))
        .await
        .unwrap();
    assert_eq!(
        verdict.refusal().map(Refusal::reason),
        Some(Reason::WrongSiteKey)
    );
    // Without the site key the provider accepts the token.
    let body = format!("response={token}&secret={}", first.secret);
    let (_, body) = send(&emulator, "POST", "/siteverify", FORM, &body).await;
    assert_eq!(body["success"], json!(true));
}

#[tokio::test]
async fn a_name_of_another_site_cannot_use_the_control_api() {
    let emulator = Emulator::start().await.unwrap();
    for (host, expected) in [
        ("localhost:8799", 200),
        ("127.0.0.1", 200),
        ("[::1]:8799", 200),
        ("10.0.0.7:8799", 200),
        ("emulator:8799", 200),
        ("evil.example", 421),
        ("evil.example:8799", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:80", 421),
    ] {
        let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
        let head =
            format!("GET /emulator/accounts HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let status: u16 = reply.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(status, expected, "{host}");
    }
}
