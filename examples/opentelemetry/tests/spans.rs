//! What arrives at a collector.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use human_check_core::Secret;
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{Guard, RequestHead, RoutePolicy};
use human_check_http::{MockTransport, ProviderClient, Reply};
use human_check_turnstile::Turnstile;
use tracing_subscriber::layer::SubscriberExt;

/// A request without headers.
#[derive(Debug)]
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn headers(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

/// Starts a collector. Returns its endpoint, and the requests that it gets.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), Vec::new());
            let mut part = [0; 16_384];
            loop {
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let head = text.find("\r\n\r\n");
                let length = text.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
                let (Some(head), Some(length)) = (head, length) else {
                    continue;
                };
                // The text may be longer than the bytes, which are not all text.
                let at = request.windows(4).position(|end| end == b"\r\n\r\n");
                let body: usize = length;
                if request.len() >= at.unwrap_or(head) + 4 + body {
                    break;
                }
            }
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            sender.send(request).unwrap();
        }
    });
    (endpoint, requests)
}

#[test]
fn a_collector_gets_the_span_of_a_decision_with_that_of_its_call_and_no_token() {
    let (endpoint, requests) = collector();
    let (layer, provider) = example_opentelemetry::layer("sign-up", &endpoint).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    let reply =
        r#"{"success":true,"hostname":"shop.example","challenge_ts":"2999-01-01T00:00:00Z"}"#;
    let client = ProviderClient::new(MockTransport::always(Reply::new(200, reply)));
    let secret = Secret::new("0x4AAAAAAACANARYSECRET").unwrap();
    let turnstile = Turnstile::new(&client, secret).unwrap();
    let guard = Guard::new(turnstile, RoutePolicy::fail_closed("signup-of-the-shop")).unwrap();
    let mut tokens = SubmittedTokens::none();
    let field = guard.fields().find("cf-turnstile-response").unwrap();
    tokens.push(field, "0.CANARY-TOKEN-of-a-visitor".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let _decision = runtime.block_on(guard.inspect(&Head).with_tokens(tokens).decide());
    });
    provider.shutdown().unwrap();
    let sent: Vec<u8> = requests.try_iter().flatten().collect();
    let sent = String::from_utf8_lossy(&sent);
    for text in [
        "human_check.decision",
        "human_check.call",
        "signup-of-the-shop",
        "turnstile",
        "sign-up",
    ] {
        assert!(sent.contains(text), "{text}: {sent}");
    }
    assert!(!sent.contains("CANARY"), "{sent}");
}
