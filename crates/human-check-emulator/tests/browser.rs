//! Tests of what the emulator serves to browsers, over plain HTTP. The tests in a browser are in
//! `browser/`.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashMap;

use human_check_emulator::{EmulatedAccount, Emulator, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn send(emulator: &Emulator, method: &str, path: &str, head: &str, body: &str) -> Reply {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{body}",
        emulator.address(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Reply {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// Sends a widget's request as a frame of the emulator sends it.
async fn framed(emulator: &Emulator, directory: &str, sent: &Value) -> Reply {
    let head = format!("origin: {}\r\n", emulator.base_url());
    let path = format!("{directory}/token");
    send(emulator, "POST", &path, &head, &sent.to_string()).await
}

/// A valid widget request for a token of this provider.
fn widget_request(provider: &str) -> Value {
    let mode = if provider == "recaptcha-v3" {
        "score"
    } else {
        "checkbox"
    };
    json!({
        "sitekey": EmulatedAccount::for_provider(provider).site_key,
        "hostname": "shop.example",
        "mode": mode,
        "action": "signup",
        "solve": true,
    })
}

async fn siteverify(emulator: &Emulator, path: &str, provider: &str, token: &str) -> Value {
    let secret = EmulatedAccount::for_provider(provider).secret;
    let head = "content-type: application/x-www-form-urlencoded\r\n";
    let body = format!("secret={secret}&response={token}");
    send(emulator, "POST", path, head, &body).await.json()
}

const SITEVERIFY: [(&str, &str, &str); 4] = [
    ("turnstile", "/turnstile/v0", "/turnstile/v0/siteverify"),
    ("hcaptcha", "/1", "/siteverify"),
    ("recaptcha-v2", "/recaptcha", "/recaptcha/api/siteverify"),
    ("recaptcha-v3", "/recaptcha", "/recaptcha/api/siteverify"),
];

#[tokio::test]
async fn the_scripts_are_at_the_providers_paths_and_are_never_kept() {
    let emulator = Emulator::start().await.unwrap();
    for (path, name) in [
        ("/turnstile/v0/api.js?render=explicit", "window.turnstile"),
        ("/1/api.js?recaptchacompat=off", "window.hcaptcha"),
        ("/recaptcha/api.js?render=key", "window.grecaptcha"),
        ("/recaptcha/enterprise.js", "window.grecaptcha.enterprise"),
        ("/captchala-loader.js", "window.loadCaptchala"),
        ("/captchala.js", "window.Captchala"),
    ] {
        let reply = send(&emulator, "GET", path, "", "").await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(
            reply.headers["content-type"],
            "text/javascript; charset=utf-8"
        );
        assert_eq!(reply.headers["cache-control"], "no-store");
        // Some pages load the script with `crossorigin`.
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        assert!(reply.body.contains(&format!("{name} ")), "{path}");
        assert!(!reply.body.contains("eval("), "{path}");
        let posted = send(&emulator, "POST", path, "", "").await;
        assert_eq!(posted.status, 405, "{path}");
    }
}

#[tokio::test]
async fn a_frame_loads_nothing_but_its_own() {
    let emulator = Emulator::start().await.unwrap();
    for (_, directory, _) in SITEVERIFY {
        for (name, kind) in [
            ("frame.html", "text/html; charset=utf-8"),
            ("frame.css", "text/css; charset=utf-8"),
            ("frame.js", "text/javascript; charset=utf-8"),
        ] {
            let reply = send(&emulator, "GET", &format!("{directory}/{name}"), "", "").await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.headers["content-type"], kind);
            assert_eq!(reply.headers["cache-control"], "no-store");
            assert!(
                reply.headers["content-security-policy"]
                    .starts_with("default-src 'none'; script-src 'self'; ")
            );
            assert!(!reply.body.contains(" style="));
        }
    }
}

#[tokio::test]
async fn what_no_provider_serves_is_not_found() {
    let emulator = Emulator::start().await.unwrap();
    for path in [
        "/api.json",
        "/turnstile/v0/",
        "/turnstile/v0/host.js",
        "/recaptcha/frame.htm",
        "/frame.html",
        "/captchala/frame.html",
        "/2/token",
    ] {
        let reply = send(&emulator, "GET", path, "", "").await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn only_a_frame_of_the_providers_gets_a_token() {
    let emulator = Emulator::start().await.unwrap();
    for (provider, directory, _) in SITEVERIFY {
        let path = format!("{directory}/token");
        let body = widget_request(provider).to_string();
        for head in [
            "",
            "origin: null\r\n",
            "origin: http://shop.example\r\n",
            "origin: http://127.0.0.1\r\n",
        ] {
            let reply = send(&emulator, "POST", &path, head, &body).await;
            assert_eq!(reply.status, 403, "{provider} {head}");
            assert!(reply.json().get("token").is_none());
        }
        let own = framed(&emulator, directory, &widget_request(provider)).await;
        assert!(own.json()["token"].is_string(), "{provider}");
    }
}

#[tokio::test]
async fn a_widgets_token_says_where_and_what_for() {
    let emulator = Emulator::start().await.unwrap();
    for (provider, directory, path) in SITEVERIFY {
        let reply = framed(&emulator, directory, &widget_request(provider))
            .await
            .json();
        let token = reply["token"].as_str().unwrap();
        let verdict = siteverify(&emulator, path, provider, token).await;
        assert_eq!(verdict["success"], true, "{provider}");
        assert_eq!(verdict["hostname"], "shop.example", "{provider}");
        let action = match provider {
            "turnstile" | "recaptcha-v3" => json!("signup"),
            _ => Value::Null,
        };
        assert_eq!(verdict["action"], action, "{provider}");
    }
}

#[tokio::test]
async fn a_key_or_a_page_that_will_not_do_is_told_by_the_providers_code() {
    let emulator = Emulator::start().await.unwrap();
    emulator.add_account(EmulatedAccount {
        site_key: "0x4narrow".to_owned(),
        domains: vec!["shop.example".to_owned()],
        ..EmulatedAccount::for_provider("turnstile")
    });
    for (directory, provider, member, value, code) in [
        (
            "/turnstile/v0",
            "turnstile",
            "sitekey",
            "0xunknown",
            "110100",
        ),
        (
            "/turnstile/v0",
            "turnstile",
            "sitekey",
            "nonsense",
            "400020",
        ),
        ("/turnstile/v0", "turnstile", "action", "sign up", "110420"),
        ("/turnstile/v0", "turnstile", "cdata", "a.b", "110430"),
        ("/1", "hcaptcha", "sitekey", "unknown", "invalid-data"),
        (
            "/recaptcha",
            "recaptcha-v2",
            "sitekey",
            "unknown",
            "Invalid site key",
        ),
        (
            "/recaptcha",
            "recaptcha-v2",
            "mode",
            "score",
            "Invalid key type",
        ),
        (
            "/recaptcha",
            "recaptcha-v3",
            "mode",
            "checkbox",
            "Invalid key type",
        ),
        (
            "/captchala",
            "captchala",
            "sitekey",
            "unknown",
            "invalid_app_key",
        ),
    ] {
        let mut sent = widget_request(provider);
        sent[member] = value.into();
        for solve in [false, true] {
            sent["solve"] = solve.into();
            let reply = framed(&emulator, directory, &sent).await.json();
            assert_eq!(reply["error"], code, "{provider} {member}");
            assert!(reply.get("token").is_none());
        }
    }
    let mut elsewhere = widget_request("turnstile");
    elsewhere["sitekey"] = "0x4narrow".into();
    let allowed = framed(&emulator, "/turnstile/v0", &elsewhere).await.json();
    assert!(allowed["token"].is_string());
    elsewhere["hostname"] = "notshop.example".into();
    let reply = framed(&emulator, "/turnstile/v0", &elsewhere).await.json();
    assert_eq!(reply["error"], "110200");
}

#[tokio::test]
async fn a_bots_token_is_refused_or_has_a_bad_score() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.visitors_are_bots = true);
    for (provider, directory, path) in SITEVERIFY {
        let reply = framed(&emulator, directory, &widget_request(provider))
            .await
            .json();
        let token = reply["token"].as_str().unwrap();
        let verdict = siteverify(&emulator, path, provider, token).await;
        if provider == "recaptcha-v3" {
            assert_eq!(verdict["score"], 0.1);
        } else {
            assert_eq!(verdict["success"], false, "{provider}");
        }
    }
}

#[tokio::test]
async fn a_score_is_in_the_tokens_of_widgets() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.visitor_score = Some(0.4));
    let provider = "recaptcha-v3";
    let found = SITEVERIFY.iter().find(|(name, ..)| *name == provider);
    let (_, directory, path) = found.unwrap();
    let reply = framed(&emulator, directory, &widget_request(provider)).await;
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    let verdict = siteverify(&emulator, path, provider, &token).await;
    assert_eq!(verdict["score"], 0.4);
}

#[tokio::test]
async fn scripts_fail_apart_from_the_service() {
    let emulator = Emulator::start().await.unwrap();
    let script = "/turnstile/v0/api.js";
    for (fails, status) in [(true, 503), (false, 200)] {
        emulator.configure(|knobs| knobs.scripts_fail = fails);
        assert_eq!(send(&emulator, "GET", script, "", "").await.status, status);
    }
}

#[tokio::test]
async fn a_short_ttl_is_the_same_at_the_widget_and_at_the_service() {
    let clock = human_check_testkit::ManualClock::starting_now();
    let emulator = Emulator::start_at(clock.clone()).await.unwrap();
    emulator.configure(|knobs| knobs.token_ttl_ms = Some(1_500));
    for (provider, directory, path) in SITEVERIFY {
        let reply = framed(&emulator, directory, &widget_request(provider))
            .await
            .json();
        assert_eq!(reply["ttl"], 1_500, "{provider}");
        clock.advance(std::time::Duration::from_millis(1_501));
        let token = reply["token"].as_str().unwrap();
        let verdict = siteverify(&emulator, path, provider, token).await;
        assert_eq!(verdict["success"], false, "{provider}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_still_shows_its_widget() {
    let emulator = Emulator::start().await.unwrap();
    emulator.fail(Fault::status(503), Some(1));
    let reply = framed(&emulator, "/1", &widget_request("hcaptcha")).await;
    assert_eq!(reply.status, 200);
    let verdict = send(&emulator, "POST", "/siteverify", "", "").await;
    assert_eq!(verdict.status, 503);
    let paths: Vec<_> = emulator.requests().into_iter().map(|r| r.path).collect();
    assert_eq!(paths, ["/1/token", "/siteverify"]);
}

#[tokio::test]
async fn captchala_sends_from_the_page_and_uses_a_server_token() {
    let emulator = Emulator::start().await.unwrap();
    emulator.configure(|knobs| knobs.server_token_required = true);
    let site = EmulatedAccount::for_provider("captchala");
    let keys = format!(
        "x-app-key: {}\r\nx-app-secret: {}\r\ncontent-type: application/json\r\n",
        site.site_key, site.secret
    );
    let mut sent = widget_request("captchala");
    let from_page = "origin: http://shop.example\r\n";
    let request_token = async |sent: &Value| {
        let body = sent.to_string();
        send(&emulator, "POST", "/captchala/token", from_page, &body).await
    };
    let refused = request_token(&sent).await;
    assert_eq!(refused.headers["access-control-allow-origin"], "*");
    assert_eq!(refused.json()["error"], "server_token_required");

    let order =
        json!({"action": "signup", "max_uses": 1, "bind_uid": "u1", "binding_ip": "127.0.0.1"});
    let issued = send(
        &emulator,
        "POST",
        "/v1/server/challenge/issue",
        &keys,
        &order.to_string(),
    )
    .await;
    sent["server_token"] = issued.json()["data"]["server_token"].clone();
    let token = request_token(&sent).await.json()["token"].clone();
    let again = request_token(&sent).await.json();
    assert_eq!(again["error"], "server_token_exhausted");

    let body = json!({"pass_token": token}).to_string();
    let verdict = send(&emulator, "POST", "/v1/validate", &keys, &body)
        .await
        .json();
    assert_eq!(verdict["data"]["valid"], true);
    assert_eq!(verdict["data"]["action"], "signup");
    assert_eq!(verdict["data"]["uid"], "u1");
    assert_eq!(
        verdict["data"]["captcha_args"]["referer"],
        "https://shop.example/"
    );
    assert_eq!(verdict["data"]["captcha_args"]["user_ip"], "127.0.0.1");
}

#[tokio::test]
async fn testing_keys_pass_at_once_or_never() {
    let emulator = Emulator::start().await.unwrap();
    let request_token = async |directory: &str, key: &str, solve: bool| {
        let sent = json!({"sitekey": key, "hostname": "x", "mode": "checkbox", "solve": solve});
        framed(&emulator, directory, &sent).await.json()
    };
    let passing = "1x00000000000000000000AA";
    assert_eq!(
        request_token("/turnstile/v0", passing, false).await["at_once"],
        true
    );
    let token = request_token("/turnstile/v0", passing, true).await["token"].clone();
    assert_eq!(token, "XXXX.DUMMY.TOKEN.XXXX");
    let failing = request_token("/turnstile/v0", "2x00000000000000000000AB", false).await;
    assert_eq!(failing["error"], "600010");
    let hcaptcha = request_token("/1", "10000000-ffff-ffff-ffff-000000000001", true).await;
    assert_eq!(hcaptcha["token"], "10000000-aaaa-bbbb-cccc-000000000001");
}
