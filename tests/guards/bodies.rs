//! Invalid, oversized and compressed bodies, and whether they use the token.

use std::io::Write;

use serde_json::json;

use crate::body_kinds::{comment, form, multipart};
use crate::client::Request;
use crate::fixture::{Framework, apps, apps_with, limits};

const FIELD: &str = "h-captcha-response";

#[test]
fn an_invalid_form_leaves_the_token_unused() {
    for app in apps() {
        let bad_age = form(&[("email", "a@b"), ("age", "old"), (FIELD, "good")]);
        let no_email = form(&[(FIELD, "good")]);
        let bad_json = |text: &str| Request::post("/signup").body("application/json", text);
        let no_email_json = bad_json(r#"{"h-captcha-response":"good"}"#);
        let bad_age_json = bad_json(r#"{"email":"a@b","age":"old","h-captcha-response":"good"}"#);
        let bad_age_parts = multipart(&[
            ("email", None, b"a@b"),
            ("age", None, b"old"),
            (FIELD, None, b"good"),
        ]);
        let no_email_parts = multipart(&[(FIELD, None, b"good")]);
        for request in [
            bad_age,
            no_email,
            no_email_json,
            bad_age_json,
            bad_age_parts,
            no_email_parts,
        ] {
            let (response, calls) = app.send_counting_calls(&request);
            let body = String::from_utf8_lossy(&request.body).into_owned();
            assert_eq!(
                (response.status, calls),
                (422, 0),
                "{:?} {body}",
                app.framework
            );
        }
        let broken = bad_json(r#"{"email":"a@b","h-captcha-response":"good""#);
        let (response, calls) = app.send_counting_calls(&broken);
        assert_eq!((response.status, calls), (400, 0), "{:?}", app.framework);
    }
}

#[test]
fn blank_and_unknown_fields_are_taken_alike() {
    for app in apps() {
        let fields = [
            ("email", "a@b"),
            ("age", ""),
            ("hobby", "looms"),
            (FIELD, "good"),
        ];
        let parts: Vec<(&str, Option<&str>, &[u8])> = fields
            .iter()
            .map(|(name, text)| (*name, None, text.as_bytes()))
            .collect();
        let json = r#"{"email":"a@b","age":null,"hobby":"looms","h-captcha-response":"good"}"#;
        let json = Request::post("/signup").body("application/json", json);
        for request in [form(&fields), multipart(&parts), json] {
            let response = app.send(&request);
            assert_eq!(response.status, 200, "{:?} {response:?}", app.framework);
            let expected = json!({"email": "a@b", "name": "", "age": null});
            assert_eq!(response.json()["fields"], expected, "{:?}", app.framework);
        }
    }
}

#[test]
fn a_body_of_an_unknown_type_has_no_token_and_no_handler() {
    let good = "email=a%40b&h-captcha-response=good";
    for app in apps() {
        for kind in [
            "text/plain",
            "application/octet-stream",
            "application/xml",
            "",
        ] {
            let (response, calls) =
                app.send_counting_calls(&Request::post("/signup").body(kind, good));
            let refused = [400, 415].contains(&response.status);
            assert!(
                refused && calls == 0,
                "{:?} {kind} {response:?}",
                app.framework
            );
        }
        let mut untyped = Request::post("/signup");
        untyped.body = good.into();
        let (response, calls) = app.send_counting_calls(&untyped);
        assert!(
            [400, 415].contains(&response.status) && calls == 0,
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn the_handler_gets_what_was_sent() {
    let name = "Ada & Bob = \u{1f600} +%41";
    for app in apps() {
        let fields = json!({"email": "a@b", "name": name, "age": 36});
        let sent = form(&[
            ("email", "a@b"),
            ("name", name),
            ("age", "36"),
            (FIELD, "good"),
        ]);
        let mut body = fields.clone();
        body[FIELD] = "good".into();
        let json = Request::post("/signup").body("application/json", body.to_string());
        let file: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let parts = multipart(&[
            ("email", None, b"a@b"),
            ("name", None, name.as_bytes()),
            ("files", Some("one.bin"), &file),
            ("files", Some("two.bin"), b""),
            ("age", None, b"36"),
            (FIELD, None, b"good"),
        ]);
        for request in [&sent, &json, &parts] {
            let response = app.send(request);
            assert_eq!(response.status, 200, "{:?} {response:?}", app.framework);
            assert_eq!(response.json()["fields"], fields, "{:?}", app.framework);
            let chunked = app.send(&request.clone().chunked());
            assert_eq!(
                chunked.json(),
                response.json(),
                "{:?} chunked",
                app.framework
            );
        }
        let files = app.send(&parts).json()["files"].clone();
        assert_eq!(files[0]["length"], 100_000);
        assert_eq!(files[1]["length"], 0);
        // The expected digest was computed by Python's hashlib over the same bytes.
        assert_eq!(files[0]["sha256"], FILE_SHA256);
    }
}

const FILE_SHA256: &str = "db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489";

#[test]
fn a_body_beyond_the_limit_is_refused_without_a_call() {
    for app in apps() {
        let long = "x".repeat(70_000);
        let pairs = [("email", "a@b"), ("name", long.as_str()), (FIELD, "good")];
        let body = json!({"email": "a@b", "name": long, FIELD: "good"}).to_string();
        let json = Request::post("/signup").body("application/json", body);
        for request in [
            form(&pairs),
            form(&pairs).chunked(),
            json.clone(),
            json.chunked(),
        ] {
            let (response, calls) = app.send_counting_calls(&request);
            assert_eq!((response.status, calls), (413, 0), "{:?}", app.framework);
        }
        let file = vec![0; 2_200_000];
        let upload = multipart(&[
            ("email", None, b"a@b"),
            (FIELD, None, b"good"),
            ("files", Some("big"), &file),
        ]);
        for request in [upload.clone(), upload.chunked()] {
            let response = app.connect().send(&request);
            // A server may close the connection before the client has sent the whole body.
            let refused = response
                .as_ref()
                .is_none_or(|response| response.status == 413);
            assert!(refused, "{:?} {response:?}", app.framework);
            assert_eq!(app.provider.calls(), 0, "{:?}", app.framework);
        }
    }
}

#[test]
fn a_smaller_limit_of_the_guard_holds_and_a_smaller_one_of_the_application_too() {
    let small = |builder: human_check_guard::GuardBuilder| {
        builder.with_body_limits(limits().with_max_body_bytes(100))
    };
    let long = "x".repeat(200);
    for app in apps_with(small) {
        let request = form(&[("email", "a@b"), ("name", &long), (FIELD, "good")]);
        assert_eq!(app.send(&request).status, 413, "{:?}", app.framework);
        assert_eq!(
            app.send(&form(&[("email", "a@b"), (FIELD, "good")])).status,
            200
        );
    }
    let large = |builder: human_check_guard::GuardBuilder| {
        builder.with_body_limits(limits().with_max_body_bytes(10_000_000))
    };
    // axum's default limit is 2 MB; the other two examples set 64 KiB.
    let long = "x".repeat(2_200_000);
    for app in apps_with(large) {
        let request = form(&[("email", "a@b"), ("name", &long), (FIELD, "good")]);
        let response = app.connect().send(&request);
        assert!(
            response.is_none_or(|response| response.status == 413),
            "{:?}",
            app.framework
        );
        assert_eq!(app.provider.calls(), 0, "{:?}", app.framework);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// actix-web decompresses the body. axum and Rocket pass the compressed bytes on, which are no
/// form.
#[test]
fn a_compressed_body_is_read_or_refused_and_a_decompression_bomb_is_refused() {
    for app in apps() {
        let mut plain = form(&[("email", "a@b"), (FIELD, "good")]);
        plain.body = gzip(&plain.body);
        let (response, calls) = app.send_counting_calls(&plain.header("content-encoding", "gzip"));
        match app.framework {
            Framework::Actix => assert_eq!((response.status, calls), (200, 1)),
            _ => assert!(
                response.status >= 400 && response.status < 500 && calls == 0,
                "{response:?}"
            ),
        }
        let mut bomb = form(&[
            ("email", "a@b"),
            ("name", &"x".repeat(50_000_000)),
            (FIELD, "good"),
        ]);
        bomb.body = gzip(&bomb.body);
        assert!(bomb.body.len() < 65_536);
        let (response, calls) = app.send_counting_calls(&bomb.header("content-encoding", "gzip"));
        let refused = (400..500).contains(&response.status) && calls == 0;
        assert!(refused, "{:?} {response:?}", app.framework);
    }
}

#[test]
fn an_invalid_comment_is_rejected_by_the_application() {
    for app in apps() {
        let mut request = comment().header("X-Captcha-Token", "good");
        request.body = b"{".to_vec();
        assert_eq!(app.send(&request).status, 400, "{:?}", app.framework);
        // The response to a refused request does not depend on the body.
        let mut request = comment();
        request.body = b"{".to_vec();
        assert_eq!(app.send(&request).status, 403, "{:?}", app.framework);
    }
}

#[test]
fn no_bytes_make_a_server_fail() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = |n: usize| -> Vec<u8> {
        let one = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 24) as u8
        };
        std::iter::repeat_with(one).take(n).collect()
    };
    let kinds = [
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/form-data; boundary=--b",
        "multipart/form-data",
        "text/plain",
    ];
    for app in apps() {
        for round in 0..200 {
            let kind = kinds[round % kinds.len()];
            let body = bytes(round * 3);
            let response = app.send(&Request::post("/signup").body(kind, body.clone()));
            assert!(
                (400..500).contains(&response.status),
                "{:?} {kind} {body:?} {response:?}",
                app.framework
            );
        }
        assert_eq!(app.provider.calls(), 0);
    }
}

/// A multipart request whose file has `bytes` bytes, and the token `token` in its header.
fn upload(token: &str, bytes: usize) -> Request {
    let file = vec![b'x'; bytes];
    let parts = [
        ("email", None, &b"a@b"[..]),
        ("files", Some("big"), &file[..]),
    ];
    multipart(&parts).header("x-captcha-token", token)
}

#[test]
fn beyond_the_budget_of_held_bytes_uploads_are_refused_and_forms_pass() {
    // One client gets half of it.
    let limits = limits().with_max_held_bytes(2_000_000);
    for app in apps_with(|builder| builder.with_body_limits(limits)) {
        for _ in 0..3 {
            let (refused, calls) = app.send_counting_calls(&upload("", 1_200_000));
            assert_eq!((refused.status, calls), (503, 0), "{:?}", app.framework);
            assert_eq!(refused.problem(), "too-many-uploads", "{:?}", app.framework);
            assert!(refused.header("retry-after").is_some());
            let form = app.send(&form(&[("email", "a@b"), (FIELD, "good")]));
            assert_eq!(form.status, 200, "{:?}", app.framework);
        }
        // The bytes of the refused ones are given back.
        let fits = app.send(&upload("good", 950_000));
        assert_eq!(fits.status, 200, "{:?}", app.framework);
    }
}

#[test]
fn a_body_of_unknown_length_counts_as_the_limit_where_the_framework_reads_it() {
    let limits = limits().with_max_held_bytes(1_000_000);
    for app in apps_with(|builder| builder.with_body_limits(limits)) {
        let response = app.send(&upload("good", 100_000).chunked());
        let expected = match app.framework {
            Framework::Rocket => 503,
            _ => 200,
        };
        assert_eq!(response.status, expected, "{:?}", app.framework);
    }
}

#[test]
fn a_bad_token_in_the_header_ends_an_upload_before_its_body_arrives() {
    for app in apps() {
        let request = upload("bad", 1_000_000);
        let bytes = request.bytes();
        let mut connection = app.connect();
        // A server may wait for the first bytes of a body before it runs anything.
        connection.write(&bytes[..bytes.len() - 900_000]);
        let response = connection.read("POST").unwrap();
        assert_eq!(response.status, 403, "{:?}", app.framework);
        assert_eq!(app.provider.calls(), 1, "{:?}", app.framework);
    }
    for app in apps() {
        let parts = [("email", None, &b"a@b"[..]), (FIELD, None, b"other")];
        let contradicting = multipart(&parts).header("x-captcha-token", "good");
        assert_eq!(app.send(&contradicting).status, 400, "{:?}", app.framework);
        let parts = [("email", None, &b"a@b"[..]), (FIELD, None, b"good")];
        let agreeing = multipart(&parts).header("x-captcha-token", "good");
        let (response, calls) = app.send_counting_calls(&agreeing);
        assert_eq!((response.status, calls), (200, 1), "{:?}", app.framework);
    }
}
