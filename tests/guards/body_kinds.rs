//! Tokens in every place of a request, with every mistake that a token can have.

use serde_json::json;

use crate::client::Request;
use crate::fixture::{App, apps};

const FIELD: &str = "h-captcha-response";
const BOUNDARY: &str = "----b";
const SHA256: &str = "a59d2053594cf914204cca4d66fd241997df703c5f617bda91fe055a9e46ba50";

pub(crate) fn form(pairs: &[(&str, &str)]) -> Request {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    Request::post("/signup").body("application/x-www-form-urlencoded", body)
}

pub(crate) fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> Request {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or(String::new(), |file| {
            format!("; filename=\"{file}\"\r\ncontent-type: application/octet-stream")
        });
        body.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post("/signup").body(&kind, body)
}

pub(crate) fn comment() -> Request {
    Request::post("/comments").body("application/json", r#"{"text":"hello"}"#)
}

/// The part of a request that holds the token.
#[derive(Clone, Copy, Debug)]
enum Source {
    Form,
    Multipart,
    Json,
    Header,
}

const SOURCES: [Source; 4] = [
    Source::Form,
    Source::Multipart,
    Source::Json,
    Source::Header,
];

impl Source {
    /// Returns a valid request with these additional fields.
    fn request(self, fields: &[(&str, &str)]) -> Request {
        match self {
            Self::Form => form(&[&[("email", "ada@example.com")], fields].concat()),
            Self::Multipart => {
                let mut parts: Vec<(&str, Option<&str>, &[u8])> =
                    vec![("email", None, b"ada@example.com")];
                parts.extend(
                    fields
                        .iter()
                        .map(|(name, text)| (*name, None, text.as_bytes())),
                );
                multipart(&parts)
            }
            Self::Json => {
                // Written by hand: a map cannot hold the same name twice.
                let mut body = r#"{"email":"ada@example.com""#.to_owned();
                for (name, text) in fields {
                    body += &format!(",{}:{}", json!(name), json!(text));
                }
                body += "}";
                Request::post("/signup").body("application/json", body)
            }
            Self::Header => fields
                .iter()
                .fold(comment(), |request, (name, text)| match *name {
                    FIELD => request.header("X-Captcha-Token", *text),
                    _ => request.header("X-Other", *text),
                }),
        }
    }
}

#[derive(Debug)]
struct Row {
    what: &'static str,
    fields: Vec<(&'static str, String)>,
    status: u16,
    problem: &'static str,
    calls: usize,
    /// The decision for a token in the header, where it differs. Status 0 skips the row.
    header: Option<(u16, &'static str, usize)>,
}

fn row(
    what: &'static str,
    fields: &[(&'static str, &str)],
    (status, problem, calls): (u16, &'static str, usize),
) -> Row {
    Row {
        what,
        fields: fields
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect(),
        status,
        problem,
        calls,
        header: None,
    }
}

impl Row {
    fn header(mut self, decision: (u16, &'static str, usize)) -> Self {
        self.header = Some(decision);
        self
    }
}

const PASSED: (u16, &str, usize) = (200, "", 1);
const MISSING: (u16, &str, usize) = (403, "challenge-required", 0);
const INVALID: (u16, &str, usize) = (400, "invalid-token", 0);
const FAILED: (u16, &str, usize) = (403, "verification-failed", 1);

fn rows() -> Vec<Row> {
    let long = "a".repeat(human_check_core::MAX_TOKEN_BYTES + 1);
    let longer = "a".repeat(20_000);
    vec![
        row("absent", &[], MISSING),
        row("empty", &[(FIELD, "")], MISSING),
        row("good", &[(FIELD, "good")], PASSED),
        row("bad", &[(FIELD, "bad")], FAILED),
        row("replayed", &[(FIELD, "replayed")], FAILED),
        row("empty, then good", &[(FIELD, ""), (FIELD, "good")], PASSED),
        row("twice", &[(FIELD, "good"), (FIELD, "good")], PASSED).header(INVALID),
        row(
            "different twice",
            &[(FIELD, "good"), (FIELD, "bad")],
            INVALID,
        ),
        row("too long", &[(FIELD, &long)], INVALID),
        row("far too long", &[(FIELD, &longer)], INVALID).header((0, "", 0)),
        row("with a space", &[(FIELD, "go od")], INVALID),
        row("not ASCII", &[(FIELD, "gööd")], INVALID).header((0, "", 0)),
        row(
            "another provider's",
            &[("cf-turnstile-response", "good")],
            MISSING,
        ),
        row(
            "another provider's beside a good token",
            &[(FIELD, "good"), ("cf-turnstile-response", "x")],
            INVALID,
        )
        .header(PASSED),
        row(
            "a copy for reCAPTCHA, as hCaptcha posts it",
            &[(FIELD, "good"), ("g-recaptcha-response", "good")],
            PASSED,
        ),
        row(
            "only the copy",
            &[("g-recaptcha-response", "good")],
            MISSING,
        ),
        row(
            "provider down",
            &[(FIELD, "down")],
            (503, "verification-unavailable", 1),
        ),
        row(
            "wrong key",
            &[(FIELD, "wrong-key")],
            (500, "about:blank", 1),
        ),
    ]
}

fn all(check: impl Fn(&App)) {
    for app in apps() {
        check(&app);
    }
}

#[test]
fn each_source_with_each_mistake_ends_alike() {
    all(|app| {
        for row in rows() {
            for source in SOURCES {
                let decision = match (source, row.header) {
                    // Servers differ in which header values they accept.
                    (Source::Header, Some((0, ..))) => continue,
                    (Source::Header, Some(decision)) => decision,
                    _ => (row.status, row.problem, row.calls),
                };
                let fields: Vec<_> = row
                    .fields
                    .iter()
                    .map(|(name, text)| (*name, text.as_str()))
                    .collect();
                let (response, calls) = app.send_counting_calls(&source.request(&fields));
                let got = (response.status, response.problem(), calls);
                let expected = (decision.0, decision.1.to_owned(), decision.2);
                assert_eq!(
                    got, expected,
                    "{:?} {source:?}: {}\n{response:?}",
                    app.framework, row.what
                );
            }
        }
    });
}

#[test]
fn a_json_token_of_another_type_never_passes() {
    all(|app| {
        for (token, status) in [
            ("1", 400),
            ("1.5", 400),
            ("true", 400),
            ("[\"good\"]", 400),
            ("{\"token\":\"good\"}", 400),
            ("null", 403),
            ("\"\\u0067ood\"", 200),
        ] {
            let body = format!(r#"{{"email":"ada@example.com","{FIELD}":{token}}}"#);
            let request = Request::post("/signup").body("application/json", body);
            let (response, calls) = app.send_counting_calls(&request);
            assert_eq!(response.status, status, "{:?} {token}", app.framework);
            assert_eq!(
                calls,
                usize::from(status == 200),
                "{:?} {token}",
                app.framework
            );
        }
    });
}

#[test]
fn names_and_values_count_however_they_are_encoded() {
    all(|app| {
        let kind = "application/x-www-form-urlencoded";
        for (pair, status) in [
            ("h-captcha-response=good", 200),
            ("h%2Dcaptcha%2dresponse=good", 200),
            ("h-captcha-response=%67ood", 200),
            ("h-captcha-response=good&h%2Dcaptcha-response=bad", 400),
            ("h-captcha-response=%FF%FE", 400),
            ("H-Captcha-Response=good", 403),
            ("h-captcha-response.x=good", 403),
        ] {
            let request = Request::post("/signup").body(kind, format!("email=a%40b&{pair}"));
            let response = app.send(&request);
            assert_eq!(response.status, status, "{:?} {pair}", app.framework);
        }
    });
}

#[test]
fn a_multipart_token_has_no_file_name_with_a_content_type() {
    for app in apps() {
        for (headers, status) in [
            ("", 200),
            ("; filename=\"x\"", 200),
            ("\r\ncontent-type: text/plain", 200),
            ("; filename=\"x\"\r\ncontent-type: text/plain", 400),
            (
                "; filename=\"\"\r\ncontent-type: application/octet-stream",
                400,
            ),
        ] {
            let part = "content-disposition: form-data; name";
            let body = format!(
                "--{BOUNDARY}\r\n{part}=\"email\"\r\n\r\nada@example.com\r\n\
                 --{BOUNDARY}\r\n{part}=\"{FIELD}\"{headers}\r\n\r\ngood\r\n--{BOUNDARY}--\r\n"
            );
            let kind = format!("multipart/form-data; boundary={BOUNDARY}");
            let response = app.send(&Request::post("/signup").body(&kind, body));
            assert_eq!(
                response.status, status,
                "{:?} {headers:?} {}",
                app.framework, response.body
            );
        }
    }
}

#[test]
fn a_part_without_a_name_gets_a_response() {
    for app in apps() {
        let body = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"\"\r\n\r\nx\r\n--{BOUNDARY}--\r\n"
        );
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let response = app.send(&Request::post("/signup").body(&kind, body));
        assert!(
            (400..500).contains(&response.status),
            "{:?} {}",
            app.framework,
            response.status
        );
    }
}

#[test]
fn a_multipart_token_may_stand_anywhere_but_is_no_file() {
    let token: (&str, Option<&str>, &[u8]) = (FIELD, None, b"good");
    let email: (&str, Option<&str>, &[u8]) = ("email", None, b"ada@example.com");
    let file: (&str, Option<&str>, &[u8]) = ("files", Some("a.bin"), b"\x00\xff\r\n--x");
    all(|app| {
        for parts in [
            [token, email, file],
            [email, token, file],
            [email, file, token],
        ] {
            let response = app.send(&multipart(&parts));
            assert_eq!(response.status, 200, "{:?} {response:?}", app.framework);
            let json = response.json();
            assert_eq!(json["fields"]["email"], "ada@example.com");
            assert_eq!(json["files"][0]["length"], 7);
            // The digest of `00 ff 0d 0a 2d 2d 78`, computed by sha256sum.
            assert_eq!(json["files"][0]["sha256"], SHA256);
        }
        let as_file = [email, (FIELD, Some("t.txt"), b"good".as_slice())];
        let (response, calls) = app.send_counting_calls(&multipart(&as_file));
        assert_eq!((response.status, calls), (400, 0), "{:?}", app.framework);
        let not_text = [email, (FIELD, None, b"go\xffod".as_slice())];
        let (response, calls) = app.send_counting_calls(&multipart(&not_text));
        assert_eq!((response.status, calls), (400, 0), "{:?}", app.framework);
    });
}

#[test]
fn a_multipart_token_with_a_content_type_is_a_token() {
    let body = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\na@b\r\n\
         --{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{FIELD}\"\r\n\
         content-type: text/plain\r\n\r\ngood\r\n--{BOUNDARY}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    all(|app| {
        let response = app.send(&Request::post("/signup").body(&kind, body.clone()));
        assert_eq!(response.status, 200, "{:?} {response:?}", app.framework);
    });
}

#[test]
fn a_header_token_serves_bodies_too_and_must_agree_with_theirs() {
    all(|app| {
        for (body, status, expected_calls) in [("", 200, 1), ("good", 200, 1), ("bad", 400, 0)] {
            for source in [Source::Form, Source::Json, Source::Multipart] {
                let request = source.request(&[(FIELD, body)]);
                let (response, calls) =
                    app.send_counting_calls(&request.header("X-Captcha-Token", "good"));
                // In front of a large body the header's token is verified first.
                let expected_calls = match source {
                    Source::Multipart => 1,
                    _ => expected_calls,
                };
                assert_eq!(
                    (response.status, calls),
                    (status, expected_calls),
                    "{:?} {source:?} {body}",
                    app.framework
                );
            }
        }
    });
}

#[test]
fn a_token_in_the_url_is_ignored() {
    all(|app| {
        let mut request = form(&[("email", "a@b")]);
        request.path += "?h-captcha-response=good";
        assert_eq!(
            app.send_counting_calls(&request).0.status,
            403,
            "{:?}",
            app.framework
        );
        let mut request = comment();
        request.path += "?h-captcha-response=good&x-captcha-token=good";
        assert_eq!(
            app.send_counting_calls(&request).0.status,
            403,
            "{:?}",
            app.framework
        );
    });
}

#[test]
fn a_token_deep_in_json_is_found_and_checked() {
    let apps =
        crate::fixture::apps_with(|builder| builder.with_json_member("hcaptcha", "/captcha/token"));
    for app in apps {
        for (captcha, status, expected_calls) in [
            (r#""captcha":{"token":"good"}"#, 200, 1),
            (r#""captcha":{"token":"bad"}"#, 403, 1),
            (
                r#""captcha":{"token":"good"},"h-captcha-response":"good""#,
                200,
                1,
            ),
            (
                r#""captcha":{"token":"good"},"h-captcha-response":"bad""#,
                400,
                0,
            ),
            (r#""captcha":{"token":""}"#, 403, 0),
            (r#""captcha":{"token":7}"#, 400, 0),
            (r#""captcha":"good""#, 403, 0),
            (r#""h-captcha-response":"good""#, 200, 1),
        ] {
            let body = format!(r#"{{"email":"a@b",{captcha}}}"#);
            let request = Request::post("/signup").body("application/json", body);
            let (response, calls) = app.send_counting_calls(&request);
            assert_eq!(
                (response.status, calls),
                (status, expected_calls),
                "{:?} {captcha}",
                app.framework
            );
        }
        let sent = form(&[("email", "a@b"), (FIELD, "good")]);
        assert_eq!(
            app.send_counting_calls(&sent).0.status,
            200,
            "{:?}",
            app.framework
        );
        let flat = form(&[
            ("email", "a@b"),
            ("captcha/token", "good"),
            ("token", "good"),
        ]);
        assert_eq!(
            app.send_counting_calls(&flat).0.status,
            403,
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn a_content_type_counts_in_every_spelling() {
    all(|app| {
        let body = format!("email=ada%40example.com&{FIELD}=good");
        for kind in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-URLEncoded",
            "APPLICATION/X-WWW-FORM-URLENCODED; Charset=UTF-8",
        ] {
            let response = app.send(&Request::post("/signup").body(kind, body.clone()));
            assert_eq!(response.status, 200, "{:?} {kind}", app.framework);
        }
        let json = format!(r#"{{"email":"ada@example.com","{FIELD}":"good"}}"#);
        for kind in ["Application/JSON", "application/json;charset=utf-8"] {
            let response = app.send(&Request::post("/signup").body(kind, json.clone()));
            assert_eq!(response.status, 200, "{:?} {kind}", app.framework);
        }
    });
}
