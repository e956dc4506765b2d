//! Nothing that the guard prints or logs contains a token.
//!
//! The test is alone in its process: it collects the log of all threads, and other tests would log,
//! too.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use human_check_core::Reason;
use human_check_guard::integration::SubmittedTokens;
use human_check_guard::{Guard, Human, RequestHead, RoutePolicy};
use human_check_testkit::Scripted;

const CANARY: &str = "0.canary-token-canary";

/// A request with a token in the header.
struct Head;

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<IpAddr> {
        None
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        line("X-Captcha-Token", CANARY.as_bytes());
    }
}

/// Collects the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_printed_or_logged_holds_a_token() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut printed = String::new();
    for check in [
        Scripted::human(),
        Scripted::refused(Reason::Invalid),
        Scripted::unavailable(),
        Scripted::misconfigured(),
    ] {
        let guard = Guard::new(check, RoutePolicy::fail_closed("signup")).unwrap();
        for body in ["", CANARY, "another-canary"] {
            let inspected = guard.inspect(&Head);
            printed += &format!("{inspected:?}");
            let mut tokens = SubmittedTokens::none();
            tokens.push(guard.fields().find("scripted-response").unwrap(), body);
            let pending = inspected.with_tokens(tokens);
            printed += &format!("{pending:?}");
            let decision = pending.decide().await;
            printed += &format!("{guard:?} {decision:?}");
            if let Err(refused) = decision.require::<Human>() {
                printed += &format!("{refused:?} {refused} {:?}", refused.response());
            }
        }
    }
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("verification-failed"), "{logged}");
    assert!(!logged.contains("canary"), "{logged}");
    assert!(!printed.contains("canary"), "{printed}");
}
