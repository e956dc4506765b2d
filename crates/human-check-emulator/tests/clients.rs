//! What client libraries of other languages send, as they send it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use human_check_emulator::{EmulatedAccount, Emulator, Mint, SERVICE_ACCOUNT_EMAIL};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a request as it is written here, and returns the whole reply.
async fn send(emulator: &Emulator, start: &str, headers: &[&str], body: &str) -> String {
    let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
    let mut request = format!("{start}\r\nconnection: close\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

fn json_of(reply: &str) -> Value {
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {reply}"))
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const JSON: &str = "content-type: application/json";

/// Returns the body of a siteverify call with a new token.
fn form(emulator: &Emulator, provider: &str) -> String {
    let secret = EmulatedAccount::for_provider(provider).secret;
    let token = emulator.mint(&Mint::for_provider(provider)).unwrap();
    format!("secret={secret}&response={token}")
}

#[tokio::test]
async fn a_reply_has_the_version_of_its_request() {
    let emulator = Emulator::start().await.unwrap();
    let body = form(&emulator, "recaptcha-v2");
    let path = "/recaptcha/api/siteverify";
    let reply = send(&emulator, &format!("POST {path} HTTP/1.0"), &[FORM], &body).await;
    assert!(reply.starts_with("HTTP/1.0 200 OK\r\n"), "{reply}");
    assert_eq!(json_of(&reply)["success"], true);
    let reply = send(&emulator, &format!("POST {path} HTTP/1.1"), &[FORM], &body).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    let reply = send(&emulator, "GET /turnstile/v0/api.js HTTP/1.0", &[], "").await;
    assert!(reply.starts_with("HTTP/1.0 200 OK\r\n"), "{reply}");
}

#[tokio::test]
async fn hcaptcha_takes_a_multipart_form() {
    let emulator = Emulator::start().await.unwrap();
    let secret = EmulatedAccount::for_provider("hcaptcha").secret;
    let token = emulator.mint(&Mint::for_provider("hcaptcha")).unwrap();
    let part = |name: &str, value: &str| {
        format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("secret", &secret) + &part("response", &token) + "--x--\r\n";
    let kind = "content-type: multipart/form-data; boundary=x";
    let reply = send(&emulator, "POST /siteverify HTTP/1.1", &[kind], &body).await;
    assert_eq!(json_of(&reply)["success"], true, "{reply}");
}

#[tokio::test]
async fn the_host_tells_captchafox_from_hcaptcha() {
    let emulator = Emulator::start().await.unwrap();
    let call = async |host: &str, body: &str| {
        let host = format!("host: {host}");
        let reply = send(&emulator, "POST /siteverify HTTP/1.1", &[&host, FORM], body).await;
        json_of(&reply)["error-codes"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // A wrong secret, which tells no provider.
    let wrong = "secret=wrong&response=wrong";
    assert_eq!(
        call("api.captchafox.com:443", wrong).await,
        "invalid-input-secret"
    );
    assert_eq!(
        call("api.hcaptcha.com", wrong).await,
        "invalid-input-response"
    );
}

#[tokio::test]
async fn a_content_type_may_be_in_any_case() {
    let emulator = Emulator::start().await.unwrap();
    let secret = EmulatedAccount::for_provider("turnstile").secret;
    let token = emulator.mint(&Mint::for_provider("turnstile")).unwrap();
    let body = json!({"secret": secret, "response": token}).to_string();
    let kind = "Content-Type: Application/JSON; charset=UTF-8";
    let start = "POST /turnstile/v0/siteverify HTTP/1.1";
    let reply = send(&emulator, start, &[kind], &body).await;
    assert_eq!(json_of(&reply)["success"], true, "{reply}");
}

/// Returns an Enterprise call with these credentials and this body.
async fn assess(emulator: &Emulator, credentials: &str, body: &Value) -> String {
    let start = "POST /v1/projects/demo-project/assessments HTTP/1.1";
    send(emulator, start, &[JSON, credentials], &body.to_string()).await
}

fn enterprise() -> (String, String) {
    let account = EmulatedAccount::for_provider("recaptcha-enterprise");
    (
        account.site_key,
        format!("x-goog-api-key: {}", account.secret),
    )
}

#[tokio::test]
async fn enterprise_takes_members_in_snake_case_and_returns_the_event_as_it_was_sent() {
    let emulator = Emulator::start().await.unwrap();
    let (site_key, key) = enterprise();
    let token = emulator
        .mint(&Mint::for_provider("recaptcha-enterprise"))
        .unwrap();
    let body = json!({"event": {
        "token": token, "site_key": site_key, "expected_action": "login",
        "requested_uri": "https://www.example.com/login", "hashed_account_id": "aGFzaA==",
        "ja4": "a-fingerprint", "headers": ["accept: */*"],
        "user_info": {"account_id": "ada"},
    }});
    let reply = json_of(&assess(&emulator, &key, &body).await);
    assert_eq!(reply["tokenProperties"]["valid"], true, "{reply}");
    let event = &reply["event"];
    for (name, value) in [
        ("siteKey", json!(site_key)),
        ("expectedAction", json!("login")),
        ("requestedUri", json!("https://www.example.com/login")),
        ("hashedAccountId", json!("aGFzaA==")),
        ("ja4", json!("a-fingerprint")),
        ("headers", json!(["accept: */*"])),
        ("userInfo", json!({"accountId": "ada"})),
        ("express", json!(false)),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    // A name that is wrong in both cases.
    let body = json!({"event": {"token": "x", "site_keys": "y"}});
    let reply = assess(&emulator, &key, &body).await;
    assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
}

#[tokio::test]
async fn enterprise_knows_no_other_call() {
    let emulator = Emulator::start().await.unwrap();
    let (_, key) = enterprise();
    let start = "GET /v1/projects/demo-project/keys HTTP/1.1";
    let reply = send(&emulator, start, &[&key], "").await;
    assert!(reply.starts_with("HTTP/1.1 501"), "{reply}");
    assert_eq!(json_of(&reply)["error"]["status"], "UNIMPLEMENTED");
}

/// Signs claims with the key of the built-in service account.
fn signed(emulator: &Emulator, claims: &Value) -> String {
    let file: Value = serde_json::from_str(&human_check_emulator::service_account_file(
        &emulator.base_url(),
    ))
    .unwrap();
    let key = file["private_key"].as_str().unwrap();
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(&json!({"alg": "RS256", "typ": "JWT"}));
    let text = format!("{head}.{}", encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
        .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn enterprise_takes_a_token_that_the_service_account_signed_itself() {
    let emulator = Emulator::start().await.unwrap();
    let (site_key, _) = enterprise();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = |audience: &str, expires: u64| {
        json!({
            "iss": SERVICE_ACCOUNT_EMAIL, "sub": SERVICE_ACCOUNT_EMAIL, "aud": audience,
            "iat": now, "exp": expires,
        })
    };
    const AUDIENCE: &str = "https://recaptchaenterprise.googleapis.com/";
    let good = signed(&emulator, &claims(AUDIENCE, now + 3_600));
    let call = async |token: &str| {
        let minted = emulator
            .mint(&Mint::for_provider("recaptcha-enterprise"))
            .unwrap();
        let body = json!({"event": {"token": minted, "siteKey": site_key}});
        assess(&emulator, &format!("authorization: Bearer {token}"), &body).await
    };
    let reply = call(&good).await;
    assert_eq!(json_of(&reply)["tokenProperties"]["valid"], true, "{reply}");
    let mut forged = good.clone();
    forged.truncate(good.len() - 4);
    for wrong in [
        forged + "AAAA",
        signed(
            &emulator,
            &claims("https://other.googleapis.com/", now + 3_600),
        ),
        signed(&emulator, &claims(AUDIENCE, now - 1)),
    ] {
        let reply = call(&wrong).await;
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    }
}

#[tokio::test]
async fn the_metadata_server_says_what_google_s_libraries_ask() {
    let emulator = Emulator::start().await.unwrap();
    let get = async |path: &str| {
        let start = format!("GET /computeMetadata/v1/{path} HTTP/1.1");
        let reply = send(&emulator, &start, &["Metadata-Flavor: Google"], "").await;
        assert!(reply.contains("metadata-flavor: Google\r\n"), "{reply}");
        assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
        reply.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(get("project/project-id").await, "demo-project");
    assert_eq!(get("universe/universe-domain").await, "googleapis.com");
    assert_eq!(
        get("instance/service-accounts/default/email").await,
        SERVICE_ACCOUNT_EMAIL
    );
    let all = get("instance/service-accounts/?recursive=true").await;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["default"]["email"], SERVICE_ACCOUNT_EMAIL);
    for path in [
        "instance/service-accounts/default/token".to_owned(),
        format!("instance/service-accounts/{SERVICE_ACCOUNT_EMAIL}/token?scopes=x"),
    ] {
        let token: Value = serde_json::from_str(&get(&path).await).unwrap();
        let token = token["access_token"].as_str().unwrap();
        let (site_key, _) = enterprise();
        let minted = emulator
            .mint(&Mint::for_provider("recaptcha-enterprise"))
            .unwrap();
        let body = json!({"event": {"token": minted, "siteKey": site_key}});
        let reply = assess(&emulator, &format!("authorization: Bearer {token}"), &body).await;
        assert_eq!(json_of(&reply)["tokenProperties"]["valid"], true, "{reply}");
    }
    let start = "GET /computeMetadata/v1/project/project-id HTTP/1.1";
    let reply = send(&emulator, start, &[], "").await;
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
}

#[tokio::test]
async fn the_control_api_shows_the_fields_of_requests_without_secrets_and_tokens() {
    let emulator = Emulator::start().await.unwrap();
    let body = form(&emulator, "hcaptcha") + "&remoteip=192.0.2.1&sitekey=a-site-key";
    let host = "host: api.hcaptcha.com:8765";
    let _ = send(&emulator, "POST /siteverify HTTP/1.1", &[host, FORM], &body).await;
    let (site_key, key) = enterprise();
    let event = json!({"event": {"token": "a-token", "siteKey": site_key}});
    let _ = assess(&emulator, &key, &event).await;
    let host = format!("host: {}", emulator.address());
    let reply = send(&emulator, "GET /emulator/requests HTTP/1.1", &[&host], "").await;
    let requests = json_of(&reply);
    let [hcaptcha, enterprise] = &requests.as_array().unwrap()[..] else {
        panic!("{reply}");
    };
    assert_eq!(
        (&hcaptcha["method"], &hcaptcha["host"], &hcaptcha["path"]),
        (
            &json!("POST"),
            &json!("api.hcaptcha.com"),
            &json!("/siteverify")
        )
    );
    assert_eq!(hcaptcha["fields"]["remoteip"], "192.0.2.1");
    assert_eq!(hcaptcha["fields"]["sitekey"], "a-site-key");
    let secret = EmulatedAccount::for_provider("hcaptcha").secret;
    assert_eq!(
        hcaptcha["fields"]["secret"],
        format!("({} characters)", secret.len())
    );
    assert_eq!(enterprise["fields"]["event"]["siteKey"], site_key);
    assert_eq!(enterprise["fields"]["event"]["token"], "(7 characters)");
    assert!(
        !reply.contains(&secret) && !reply.contains("a-token"),
        "{reply}"
    );
}
