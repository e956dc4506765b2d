//! Connections, methods and paths.

use std::time::Duration;

use crate::body_kinds::{comment, form, multipart};
use crate::client::{Connection, Request};
use crate::fixture::{App, Framework, apps, apps_with, eventually, limits};

const FIELD: &str = "h-captcha-response";

fn good() -> Request {
    form(&[("email", "a@b"), (FIELD, "good")])
}

#[test]
fn a_body_that_drips_in_is_read() {
    for app in apps() {
        let request = good();
        let mut connection = app.connect();
        for byte in request.bytes() {
            connection.write(&[byte]);
        }
        assert_eq!(
            connection.read("POST").unwrap().status,
            200,
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn an_unfinished_body_is_ended_within_the_timeout() {
    let short = limits()
        .with_body_timeout(Duration::from_millis(300))
        .with_upload_timeout(Duration::from_millis(300));
    for app in apps_with(|builder| builder.with_body_limits(short)) {
        for request in [
            good(),
            good().chunked(),
            multipart(&[("email", None, b"a@b"), (FIELD, None, b"good")]),
            // Longer than the 14 bytes that Rocket waits for before it runs anything.
            Request::post("/signup").body("application/json", r#"{"email":"ada@example.com"}"#),
        ] {
            let bytes = request.bytes();
            let mut connection = app.connect();
            connection.write(&bytes[..bytes.len() - 3]);
            let response = connection.read("POST");
            let ended = response
                .as_ref()
                .is_none_or(|response| response.status == 408);
            assert!(ended, "{:?} {response:?}", app.framework);
            // The server does not treat the following bytes as a new request.
            connection.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            let next = connection.read("GET");
            assert!(
                next.is_none_or(|next| next.status == 400),
                "{:?}",
                app.framework
            );
        }
        assert_eq!(app.provider.calls(), 0);
    }
}

#[test]
fn a_connection_with_an_unfinished_body_is_closed_after_the_408() {
    let short = limits().with_body_timeout(Duration::from_millis(300));
    for app in apps_with(|builder| builder.with_body_limits(short)) {
        for request in [good(), good().chunked()] {
            let bytes = request.bytes();
            let mut connection = app.connect();
            connection.write(&bytes[..bytes.len() - 3]);
            // Reading panics if the server neither responds nor closes within its own time.
            let response = connection.read("POST");
            assert!(
                response.is_none_or(|response| response.status == 408),
                "{:?}",
                app.framework
            );
            assert!(connection.read("POST").is_none(), "{:?}", app.framework);
        }
    }
}

#[test]
fn a_connection_with_an_unfinished_upload_is_closed_after_a_refusal_by_its_header() {
    let parts = [
        ("email", None, &b"a@b"[..]),
        ("files", Some("f"), &[b'x'; 10_000][..]),
    ];
    let upload = multipart(&parts).header("x-captcha-token", "bad");
    for app in apps() {
        for request in [upload.clone(), upload.clone().chunked()] {
            let bytes = request.bytes();
            let mut connection = app.connect();
            connection.write(&bytes[..bytes.len() - 3]);
            let response = connection.read("POST").unwrap();
            assert_eq!(response.status, 403, "{:?}", app.framework);
            assert!(connection.read("POST").is_none(), "{:?}", app.framework);
        }
    }
}

/// Asserts that after a refusal the server closes the connection or reads the next request from its
/// first byte.
fn assert_in_step(app: &App, request: &Request, status: u16) {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut request = request.clone();
    request.body.extend_from_slice(smuggled.as_bytes());
    let mut connection = app.connect();
    let mut bytes = request.bytes();
    bytes.extend_from_slice(&Request::post("/").method("GET").bytes());
    connection.write(&bytes);
    let first = connection.read("POST").unwrap();
    assert_eq!(first.status, status, "{:?} {first:?}", app.framework);
    if let Some(second) = connection.read("GET") {
        assert_eq!(second.status, 200, "{:?} {second:?}", app.framework);
    }
}

#[test]
fn pipelined_requests_after_a_refusal_are_what_was_sent() {
    for app in apps() {
        assert_in_step(&app, &comment(), 403);
        assert_in_step(&app, &comment().header("X-Captcha-Token", "bad"), 403);
        assert_in_step(&app, &comment().chunked(), 403);
        assert_in_step(&app, &form(&[("email", "a@b"), ("name", "")]), 403);
        let mut big = comment();
        big.body = vec![b' '; 300_000];
        assert_in_step(&app, &big, 403);
    }
}

#[test]
fn a_refused_small_post_keeps_the_connection() {
    for app in apps() {
        let mut connection = app.connect();
        for token in ["", "bad", "b d"] {
            for _ in 0..5 {
                let refused = connection.send(&comment().header("X-Captcha-Token", token));
                assert_ne!(refused.unwrap().status, 200, "{:?} {token}", app.framework);
            }
            let refused = connection.send(&form(&[("email", "a@b"), (FIELD, token)]));
            assert_ne!(refused.unwrap().status, 200, "{:?} {token}", app.framework);
        }
        assert_eq!(
            connection.send(&good()).unwrap().status,
            200,
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn a_client_that_leaves_during_the_check_leaves_nothing_behind() {
    for app in apps() {
        for request in [
            form(&[("email", "a@b"), (FIELD, "slow")]),
            comment().header("X-Captcha-Token", "slow"),
        ] {
            let before = app.provider.calls();
            let mut connection = app.connect();
            connection.write(&request.bytes());
            eventually("the check begins", || app.provider.calls() > before);
            drop(connection);
            // Rocket 0.5 and actix-web do not drop the handler's future. It must end nevertheless.
            app.provider.release_slow_call();
            eventually("nothing is in flight", || {
                app.provider.release_slow_call();
                app.provider.in_flight() == 0
            });
        }
        assert_eq!(app.send(&good()).status, 200, "{:?}", app.framework);
    }
}

#[test]
fn no_method_bypasses_a_guard() {
    for app in apps() {
        for method in [
            "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post",
        ] {
            for path in ["/signup", "/comments"] {
                let request = good().method(method);
                let request = Request {
                    path: path.to_owned(),
                    ..request
                };
                let response = app.connect().send(&request);
                let ran = response.is_some_and(|response| response.body.contains("\"ok\":true"));
                assert!(!ran, "{:?} {method} {path}", app.framework);
            }
        }
        // Rocket takes the method from a first form field `_method`, before any guard runs.
        for method in ["post", "get", "put", "delete"] {
            let request = form(&[("_method", method), ("email", "a@b")]);
            let (response, calls) = app.send_counting_calls(&request);
            assert!(
                !response.body.contains("\"ok\":true"),
                "{:?} {method}",
                app.framework
            );
            assert_eq!(calls, 0);
            let mut request = comment();
            request.headers[0].1 = b"application/x-www-form-urlencoded".to_vec();
            request.body = format!("_method={method}&text=x").into_bytes();
            let (response, calls) = app.send_counting_calls(&request);
            assert!(
                !response.body.contains("\"ok\":true"),
                "{:?} {method}",
                app.framework
            );
            assert_eq!(calls, 0);
        }
        let overridden = comment().header("X-HTTP-Method-Override", "GET");
        assert_eq!(app.send(&overridden).status, 403, "{:?}", app.framework);
    }
}

#[test]
fn no_spelling_of_a_path_bypasses_a_guard() {
    let paths = [
        "/comments",
        "//comments",
        "/comments/",
        "/comments//",
        "/%63omments",
        "/%2563omments",
        "/./comments",
        "/x/../comments",
        "/comments;x",
        "/comments?x",
        "/comments%2F",
        "/Comments",
        "/comments/.",
        "///comments",
        "http://localhost/comments",
        "/comments%00",
        "/%2Fcomments",
    ];
    for app in apps() {
        let mut reached = 0;
        for path in paths {
            let mut request = comment();
            path.clone_into(&mut request.path);
            let Some(response) = app.connect().send(&request) else {
                continue;
            };
            assert!(
                !response.body.contains("\"ok\":true"),
                "{:?} {path}",
                app.framework
            );
            assert!(
                (400..500).contains(&response.status),
                "{:?} {path} {response:?}",
                app.framework
            );
            reached += usize::from(response.status == 403);
        }
        // At least `/comments` and `/comments?x` match the route.
        assert!(reached >= 2, "{:?}", app.framework);
    }
}

#[test]
fn an_expectation_of_continue_gets_its_response() {
    for app in apps() {
        let request = comment().header("expect", "100-continue");
        let mut connection = app.connect();
        connection.write(&request.head());
        let mut response = connection.read("POST").unwrap();
        if response.status == 100 {
            connection.write(&request.body);
            response = connection.read("POST").unwrap();
        } else {
            // hyper sends status 100 at the first read of the body. A refusal by axum reads no
            // body.
            assert_eq!(app.framework, Framework::Axum);
        }
        assert_eq!(response.status, 403, "{:?}", app.framework);
    }
}

#[test]
fn broken_framing_is_never_a_pass() {
    let heads = [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: -1",
        "content-length: 99999999999999999999",
        "content-length: 10\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ];
    for app in apps() {
        for head in heads {
            let mut connection = Connection::to(app.address);
            let text = format!(
                "POST /signup HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                 {head}\r\n\r\nemail=a@b&h-captcha-response=good"
            );
            connection.write(text.as_bytes());
            connection.close();
            let response = connection.read("POST");
            let passed = response
                .as_ref()
                .is_some_and(|response| response.status == 200);
            assert!(!passed, "{:?} {head} {response:?}", app.framework);
        }
    }
}
