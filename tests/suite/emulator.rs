//! The emulator itself: state, lifetimes, the providers' order of decisions, and its control API.

use std::time::Duration;

use human_check_config::ProviderKind;
use human_check_core::{HumanCheck, Reason, Refusal};
use human_check_emulator::{EmulatedAccount, Emulator, Mint};
use human_check_testkit::ManualClock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{GENERIC, HOST, check, client, generic, minted, submission};

/// One request over a socket of its own, without a client library in between.
async fn ask(
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

fn other_site(provider: &str) -> EmulatedAccount {
    EmulatedAccount::built_in()
        .into_iter()
        .filter(|s| s.provider == provider)
        .nth(1)
        .unwrap()
}

#[tokio::test]
async fn tokens_live_as_long_as_the_providers_say() {
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
        let (in_time, late) = (minted(provider, &emulator), minted(provider, &emulator));
        clock.advance(Duration::from_secs(ttl));
        assert!(
            check.check(&in_time).await.unwrap().is_human(),
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
async fn a_foreign_token_is_refused_and_where_it_may_be_our_key_the_owner_hears() {
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
        let mint = Mint::for_provider(name).with_site_key(other_site(name).site_key);
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
async fn the_providers_behind_the_generic_adapter_know_their_tokens() {
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
        let foreign = mint(Mint::for_provider(name).with_site_key(other_site(name).site_key));
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
    let site = EmulatedAccount::for_provider("turnstile");
    let code = |(status, body): (u16, Value)| {
        (
            status,
            body["error-codes"][0].as_str().unwrap_or("").to_owned(),
        )
    };
    let no = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        code(ask(&emulator, "POST", path, JSON, "{\"secret\":").await),
        no(400, "bad-request")
    );
    assert_eq!(
        code(ask(&emulator, "POST", path, "text/plain", "x").await),
        no(400, "bad-request")
    );
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, "response=x").await),
        no(400, "missing-input-secret")
    );
    // The secret is judged before the token.
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, "secret=no&response=x").await),
        no(400, "invalid-input-secret")
    );
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, "secret=no").await),
        no(400, "invalid-input-secret")
    );
    let secret = &site.secret;
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, &format!("secret={secret}")).await),
        no(200, "missing-input-response")
    );
    let key = format!("secret={secret}&response=x&idempotency_key=no");
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, &key).await),
        no(400, "bad-request")
    );
    let dummy = format!("secret={secret}&response=XXXX.DUMMY.TOKEN.XXXX");
    assert_eq!(
        code(ask(&emulator, "POST", path, FORM, &dummy).await),
        no(200, "invalid-input-response")
    );
    assert_eq!(ask(&emulator, "GET", path, FORM, "").await.0, 405);
    // JSON and multipart are taken like a form.
    let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
    let (_, body) = ask(
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
    let (_, body) = ask(
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
        let (status, body) = ask(&emulator, "POST", path, FORM, &body).await;
        assert_eq!(
            (status, &body["success"], &body["error-codes"][0]),
            (200, &json!(success), &code)
        );
        assert_eq!(body["metadata"]["result_with_testing_key"], json!(true));
    }
    let zero = "0x0000000000000000000000000000000000000000";
    let body = format!("secret={zero}&response=30000000-aaaa-bbbb-cccc-000000000003");
    let (_, body) = ask(&emulator, "POST", "/siteverify", FORM, &body).await;
    assert_eq!(
        (&body["success"], &body["score"], &body["hostname"]),
        (&json!(true), &json!(1), &json!("dummy-key-pass"))
    );
    let (_, body) = ask(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        "secret=other&response=10000000-aaaa-bbbb-cccc-000000000001",
    )
    .await;
    assert_eq!(body["error-codes"], json!(["not-using-dummy-secret"]));
    let body = "secret=6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe&response=anything";
    let (_, body) = ask(&emulator, "POST", "/recaptcha/api/siteverify", FORM, body).await;
    assert_eq!(
        (&body["success"], &body["hostname"]),
        (&json!(true), &json!("testkey.google.com"))
    );
}

#[tokio::test]
async fn hcaptcha_and_recaptcha_decide_in_their_order() {
    let emulator = Emulator::start().await.unwrap();
    let codes = |body: Value| body["error-codes"].clone();
    // hCaptcha reads no JSON, and judges the token before the secret.
    let (_, body) = ask(&emulator, "POST", "/siteverify", JSON, "{}").await;
    assert_eq!(
        codes(body),
        json!(["missing-input-response", "missing-input-secret"])
    );
    let (_, body) = ask(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        "response=bad&secret=bad",
    )
    .await;
    assert_eq!(codes(body), json!(["invalid-input-response"]));
    let token = emulator.mint(&Mint::for_provider("hcaptcha")).unwrap();
    let (_, body) = ask(
        &emulator,
        "POST",
        "/siteverify",
        FORM,
        &format!("response={token}&secret=bad"),
    )
    .await;
    assert_eq!(codes(body), json!(["invalid-input-secret"]));
    // reCAPTCHA names both, the token first, and refuses a parameter given twice.
    let path = "/recaptcha/api/siteverify";
    let (_, body) = ask(&emulator, "POST", path, FORM, "response=bad&secret=bad").await;
    assert_eq!(
        codes(body),
        json!(["invalid-input-response", "invalid-input-secret"])
    );
    let (_, body) = ask(&emulator, "POST", path, JSON, "{}").await;
    assert_eq!(
        codes(body),
        json!(["missing-input-response", "missing-input-secret"])
    );
    let (_, body) = ask(
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
    let site = EmulatedAccount::for_provider("captchala");
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let body = "action=login&ttl=300&max_uses=1&bind_ip=1.2.3.4";
    let request = format!(
        "POST /v1/server/challenge/issue HTTP/1.1\r\nx-app-key: {}\r\nx-app-secret: {}\r\ncontent-type: {FORM}\r\ncontent-length: {}\r\n\r\n{body}",
        site.site_key,
        site.secret,
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
    let (status, body) = ask(&emulator, "POST", "/v1/challenge/verify", JSON, "{}").await;
    assert_eq!(
        (status, &body["error"]),
        (404, &json!("not_found")),
        "endpoints that only prose names"
    );
}

/// Any page in a browser on the same machine can send these, by a form or by a name that leads here.
#[tokio::test]
async fn pages_in_a_browser_give_no_orders() {
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
            ("POST", "/emulator/knobs", r#"{"quota_spent":true}"#),
            ("POST", "/emulator/fail", r#"{"fault":"stall"}"#),
            ("GET", "/emulator/sites", ""),
            ("GET", "/emulator/requests", ""),
        ] {
            let kind = format!("text/plain\r\n{header}");
            let (status, _) = ask(&emulator, method, path, &kind, body).await;
            assert_eq!(status, 403, "{header}: {path}");
        }
    }
    // Typed into the address bar.
    let typed = format!("{JSON}\r\nsec-fetch-site: none");
    let (status, _) = ask(&emulator, "GET", "/emulator/sites", &typed, "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn what_it_remembers_is_bounded() {
    let emulator = Emulator::start().await.unwrap();
    let long = format!("response={}", "a".repeat(500_000));
    let form = "application/x-www-form-urlencoded";
    ask(&emulator, "POST", "/turnstile/v0/siteverify", form, &long).await;
    assert_eq!(emulator.requests()[0].body.len(), 16_384);
    let fault = r#"{"fault":{"html":{"status":503}},"times":1}"#;
    for n in 0..1_001 {
        let (status, _) = ask(&emulator, "POST", "/emulator/fail", JSON, fault).await;
        assert_eq!(status, if n < 1_000 { 200 } else { 400 }, "{n}");
    }
}

#[tokio::test]
async fn the_control_api_serves_clients_in_other_processes() {
    let emulator = Emulator::start().await.unwrap();
    let (_, sites) = ask(&emulator, "GET", "/emulator/sites", JSON, "").await;
    assert_eq!(sites.as_array().unwrap().len(), 20);
    let (status, minted) = ask(
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
        ask(
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
        ask(&emulator, "POST", "/turnstile/v0/siteverify", FORM, &verify)
            .await
            .0,
        503
    );
    let (_, body) = ask(&emulator, "POST", "/turnstile/v0/siteverify", FORM, &verify).await;
    assert_eq!(body["action"], json!("login"));
    let (_, seen) = ask(&emulator, "GET", "/emulator/requests", JSON, "").await;
    assert!(!seen.to_string().contains(token), "{seen}");
    for (path, body) in [
        ("mint", "{}"),
        ("mint", r#"{"provider":"nobody"}"#),
        ("mint", r#"{"provider":"turnstile","hostnme":"x"}"#),
        ("fail", "{}"),
        ("knobs", r#"{"nope":1}"#),
        ("other", ""),
    ] {
        let (status, error) =
            ask(&emulator, "POST", &format!("/emulator/{path}"), JSON, body).await;
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
    let (status, _) = ask(
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
        ask(&emulator, "POST", "/emulator/fail", JSON, &huge)
            .await
            .0,
        200
    );
    let (status, _) = ask(
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
        ask(&emulator, "POST", "/emulator/mint", JSON, old).await.0,
        400
    );
    // An assertion that claims to end before it began, signed by nobody.
    let assertion = "eyJ9.eyJpc3MiOiJkZW1vQGRlbW8tcHJvamVjdC5pYW0uZ3NlcnZpY2VhY2NvdW50LmV4YW1wbGUiLCJpYXQiOjQxMDI0NDQ4MDAsImV4cCI6MX0.AAAA";
    let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    let body = format!("grant_type={grant}&assertion={assertion}");
    assert_eq!(ask(&emulator, "POST", "/token", FORM, &body).await.0, 400);
    assert_eq!(
        ask(&emulator, "GET", "/emulator/sites", JSON, "").await.0,
        200
    );
}

#[tokio::test]
async fn hcaptchas_secret_is_an_accounts_and_the_site_key_tells_its_sites_apart() {
    let emulator = Emulator::start().await.unwrap();
    let ours = EmulatedAccount::for_provider("hcaptcha");
    let second = EmulatedAccount {
        site_key: "b0000000-0000-4000-8000-000000000001".to_owned(),
        ..ours.clone()
    };
    emulator.add_account(second.clone());
    let mint = Mint::for_provider("hcaptcha").with_site_key(&second.site_key);
    let token = emulator.mint(&mint).unwrap();
    // Our check names its site key, so the account's other site does not pass.
    let check = check(ProviderKind::Hcaptcha, &emulator, &client());
    let verdict = check
        .check(&submission(ProviderKind::Hcaptcha, token.clone()))
        .await
        .unwrap();
    assert_eq!(
        verdict.refusal().map(Refusal::reason),
        Some(Reason::WrongSiteKey)
    );
    // Without it the provider would have said yes.
    let body = format!("response={token}&secret={}", ours.secret);
    let (_, body) = ask(&emulator, "POST", "/siteverify", FORM, &body).await;
    assert_eq!(body["success"], json!(true));
}
