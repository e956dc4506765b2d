use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use human_check_core::Provider;
use human_check_guard::integration::{
    FormWithToken, SubmittedTokens, TokenFields, WithToken, extracting, scan,
};
use human_check_guard::{Guard, RoutePolicy};
use human_check_testkit::Scripted;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::support::{Head, Log};

static ACME: Provider = Provider::new("acme", &["acme-response"]);

fn fields() -> Arc<TokenFields> {
    Arc::new(TokenFields::of(&Scripted::human().with_provider(&ACME)))
}

async fn extract<T>(parse: impl FnOnce() -> T) -> T {
    extracting(fields(), || async { parse() }).await
}

/// Returns the `Debug` text, which shows the number of tokens and not their text.
fn count(tokens: &SubmittedTokens) -> String {
    format!("{tokens:?}")
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Strict {
    name: String,
    age: u8,
}

#[tokio::test]
async fn a_type_that_refuses_unknown_members_never_sees_the_token() {
    let json = r#"{"name":"Ada","acme-response":"t","age":36,"g-recaptcha-response":"t"}"#;
    let form = "name=Ada&acme-response=t&age=36&g-recaptcha-response=t";
    let json: WithToken<Strict> = extract(|| serde_json::from_str(json).unwrap()).await;
    let form: WithToken<Strict> = extract(|| serde_urlencoded::from_str(form).unwrap()).await;
    for parsed in [json, form] {
        assert_eq!((parsed.inner.name.as_str(), parsed.inner.age), ("Ada", 36));
        assert_eq!(count(&parsed.tokens), "SubmittedTokens(2)");
    }
}

#[tokio::test]
async fn errors_of_the_application_type_stay_its_own() {
    let parsed: Result<WithToken<Strict>, _> =
        extract(|| serde_json::from_str(r#"{"name":"Ada","age":"x","acme-response":"t"}"#)).await;
    let error = parsed.unwrap_err().to_string();
    assert!(
        error.starts_with("invalid type: string \"x\", expected u8"),
        "{error}"
    );
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    name: &'a str,
    #[serde(borrow)]
    note: Cow<'a, str>,
    #[serde(flatten)]
    rest: HashMap<&'a str, serde_json::Value>,
}

#[tokio::test]
async fn borrowed_flattened_and_tagged_types_work() {
    let json = r#"{"name":"Ada","note":"n","x":1,"acme-response":"t"}"#;
    let parsed: WithToken<Borrowed<'_>> = extract(|| serde_json::from_str(json).unwrap()).await;
    assert_eq!((parsed.inner.name, &*parsed.inner.note), ("Ada", "n"));
    assert_eq!(parsed.inner.rest.len(), 1, "{:?}", parsed.inner.rest);
    assert_eq!(count(&parsed.tokens), "SubmittedTokens(1)");

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Tagged {
        Cat { lives: u8 },
    }
    let json = r#"{"acme-response":"t","kind":"cat","lives":9}"#;
    let parsed: WithToken<Tagged> = extract(|| serde_json::from_str(json).unwrap()).await;
    assert_eq!(parsed.inner, Tagged::Cat { lives: 9 });
    assert_eq!(count(&parsed.tokens), "SubmittedTokens(1)");

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Untagged {
        Number { n: u8 },
        Text { n: String },
    }
    let json = r#"{"n":"x","acme-response":"t"}"#;
    let parsed: WithToken<Untagged> = extract(|| serde_json::from_str(json).unwrap()).await;
    assert_eq!(parsed.inner, Untagged::Text { n: "x".to_owned() });
    assert_eq!(count(&parsed.tokens), "SubmittedTokens(1)");
    assert_eq!(Untagged::Number { n: 1 }, Untagged::Number { n: 1 });
}

#[tokio::test]
async fn what_is_not_needed_is_not_skipped_unseen() {
    let json = r#"{"a":[1,{"b":2}],"acme-response":"t"}"#;
    let parsed: WithToken<IgnoredAny> = extract(|| serde_json::from_str(json).unwrap()).await;
    assert_eq!(count(&parsed.tokens), "SubmittedTokens(1)");
}

#[tokio::test]
async fn only_members_at_the_top_count_and_outside_of_a_guard_none() {
    let json = r#"{"inner":{"acme-response":"t"},"list":[{"acme-response":"t"}]}"#;
    let parsed: WithToken<serde_json::Value> =
        extract(|| serde_json::from_str(json).unwrap()).await;
    assert!(parsed.tokens.is_empty());
    let json = r#"{"acme-response":"t"}"#;
    let parsed: WithToken<serde_json::Value> = serde_json::from_str(json).unwrap();
    assert!(parsed.tokens.is_empty());
}

#[tokio::test]
async fn a_pointer_leads_into_a_json_body() {
    let check = Scripted::human().with_provider(&ACME);
    let guard = Guard::builder(check)
        .with_json_member("acme", "/meta/security/token")
        .build(RoutePolicy::fail_closed("login"))
        .unwrap();
    let json = r#"{"meta":{"security":{"token":"t","x":1},"y":2},"z":3}"#;
    let parse = || async { serde_json::from_str::<WithToken<serde_json::Value>>(json).unwrap() };
    let parsed = extracting(Arc::clone(guard.fields()), parse).await;
    assert_eq!(count(&parsed.tokens), "SubmittedTokens(1)");
    let left = serde_json::json!({"meta":{"security":{"x":1},"y":2},"z":3});
    assert_eq!(parsed.inner, left);
    assert_eq!(
        count(&scan::json(guard.fields(), json.as_bytes())),
        "SubmittedTokens(1)"
    );
    assert!(scan::form(guard.fields(), b"token=t").is_empty());
}

#[test]
fn pointers_that_lead_nowhere_are_refused() {
    for pointer in ["", "token", "/", "/a//b", "/a~1b"] {
        let guard = Guard::builder(Scripted::human())
            .with_json_member("scripted", pointer)
            .build(RoutePolicy::fail_closed("login"));
        assert_eq!(guard.unwrap_err().field(), "json_member", "{pointer}");
    }
}

#[test]
fn a_scan_finds_names_however_they_are_written() {
    let fields = fields();
    for (body, found) in [
        ("acme-response=t", 1),
        ("a=1&acme-response=t&b=2", 1),
        ("acme%2Dresponse=t", 1),
        ("%61cme-response=t&acme-response=u", 2),
        ("acme-response=", 0),
        ("acme-response", 0),
        ("acme-response.x=t&acme-response[]=t&Acme-Response=t", 0),
        ("x=acme-response=t", 0),
        ("&&&=&=t&", 0),
        ("", 0),
    ] {
        let tokens = scan::form(&fields, body.as_bytes());
        assert_eq!(
            count(&tokens),
            format!("SubmittedTokens({found})"),
            "{body}"
        );
    }
    assert_eq!(
        count(&scan::form(&fields, b"acme-response=\xff\xfe")),
        "SubmittedTokens(1)"
    );
}

#[test]
fn a_scan_of_something_that_is_no_json_object_finds_nothing() {
    let fields = fields();
    for body in [
        r#"{"acme-response":"t""#,
        r#"{"acme-response":"t"} x"#,
        r#"["acme-response","t"]"#,
        r#""acme-response""#,
        "",
        "\u{0}",
    ] {
        assert!(scan::json(&fields, body.as_bytes()).is_empty(), "{body}");
    }
    let deep = "[".repeat(10_000);
    assert!(scan::json(&fields, deep.as_bytes()).is_empty());
}

proptest! {
    /// The scan finds the same tokens as a parser of the whole form.
    #[test]
    fn a_scan_agrees_with_a_parser(body in "([a-z%&=+\\-25D]|acme-response|acme%2Dresponse|&|=t){0,30}") {
        let fields = fields();
        let parsed = form_urlencoded::parse(body.as_bytes())
            .filter(|(name, value)| name == "acme-response" && !value.is_empty())
            .count();
        prop_assert_eq!(count(&scan::form(&fields, body.as_bytes())), format!("SubmittedTokens({parsed})"));
    }

    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let fields = fields();
        let _ = scan::form(&fields, &body);
        let _ = scan::json(&fields, &body);
    }
}

#[tokio::test]
async fn a_form_read_as_pairs_loses_its_tokens_and_nothing_else() {
    let body = "name=Ada&acme-response=t&name=Grace&age=36";
    let strings: FormWithToken<Vec<(String, String)>> =
        extract(|| serde_urlencoded::from_str(body).unwrap()).await;
    assert_eq!(count(&strings.tokens), "SubmittedTokens(1)");
    let pairs: Vec<(&str, &str)> = strings
        .inner
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(pairs, [("name", "Ada"), ("name", "Grace"), ("age", "36")]);
    let numbers: FormWithToken<Vec<(Cow<'_, str>, u8)>> =
        extract(|| serde_urlencoded::from_str("a=1&acme-response=t&b=2").unwrap()).await;
    assert_eq!(numbers.inner, [("a".into(), 1), ("b".into(), 2)]);
    let twice: FormWithToken<Vec<(String, String)>> =
        extract(|| serde_urlencoded::from_str("acme-response=t&acme%2Dresponse=u").unwrap()).await;
    assert_eq!(count(&twice.tokens), "SubmittedTokens(2)");
    assert!(twice.inner.is_empty());
    let map: FormWithToken<HashMap<String, String>> =
        extract(|| serde_urlencoded::from_str("a=1&acme-response=t").unwrap()).await;
    assert_eq!(
        (map.inner.len(), count(&map.tokens).as_str()),
        (1, "SubmittedTokens(1)")
    );
}

/// A struct that was written for a check by hand, and keeps the token's member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    name: String,
    #[serde(rename = "acme-response")]
    token: String,
    #[serde(rename = "g-recaptcha-response")]
    other: Option<String>,
}

#[tokio::test]
async fn a_struct_that_keeps_the_token_gets_it() {
    let json = r#"{"acme-response":"t","name":"Ada","g-recaptcha-response":null}"#;
    let json: WithToken<Kept> = extract(|| serde_json::from_str(json).unwrap()).await;
    let form = "acme-response=t&name=Ada";
    let form: FormWithToken<Kept> = extract(|| serde_urlencoded::from_str(form).unwrap()).await;
    for (inner, tokens) in [(json.inner, json.tokens), (form.inner, form.tokens)] {
        assert_eq!(
            (&*inner.name, &*inner.token, inner.other),
            ("Ada", "t", None)
        );
        assert_eq!(count(&tokens), "SubmittedTokens(1)");
    }
    let both = r#"{"acme-response":"t","name":"Ada","g-recaptcha-response":"t"}"#;
    let both: WithToken<Kept> = extract(|| serde_json::from_str(both).unwrap()).await;
    assert_eq!(both.inner.other.as_deref(), Some("t"));
    assert_eq!(count(&both.tokens), "SubmittedTokens(2)");
    let number = r#"{"acme-response":7,"name":"Ada"}"#;
    let number = extract(|| serde_json::from_str::<WithToken<Kept>>(number)).await;
    assert!(number.is_err(), "the application's type refuses it");
}

#[tokio::test]
async fn an_untyped_value_gets_no_token() {
    let json = r#"{"acme-response":"t","name":"Ada"}"#;
    let value: WithToken<serde_json::Value> = extract(|| serde_json::from_str(json).unwrap()).await;
    assert_eq!(value.inner, serde_json::json!({"name": "Ada"}));
}

/// Decides about a JSON body that is read as a `T`, with and without a token in the header.
async fn errors_logged_for<T: for<'de> Deserialize<'de>>(json: &str) -> Vec<String> {
    let log = Log::capture();
    let check = Scripted::human().with_provider(&ACME);
    let guard = Guard::new(check, RoutePolicy::fail_closed("signup")).unwrap();
    let with_header = Head::new().with("x-captcha-token", "t");
    for (head, allowed) in [
        (with_header, true),
        (Head::new(), false),
        (Head::new(), false),
    ] {
        let parse = || async { serde_json::from_str::<WithToken<T>>(json).unwrap() };
        let parsed = extracting(Arc::clone(guard.fields()), parse).await;
        let decision = guard
            .inspect(&head)
            .with_tokens(parsed.tokens)
            .decide()
            .await;
        assert_eq!(decision.result().is_ok(), allowed);
        assert!(
            !allowed || log.of("ERROR").is_empty(),
            "a token in the header is enough"
        );
    }
    log.of("ERROR")
}

#[tokio::test]
async fn a_type_without_a_place_for_a_token_is_an_error_event_once() {
    let errors = errors_logged_for::<Vec<u16>>("[1, 2]").await;
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("alloc::vec::Vec<u16>"), "{errors:?}");
    assert_eq!(errors_logged_for::<(u8, u8)>("[1, 2]").await.len(), 1);
    assert_eq!(errors_logged_for::<Option<String>>("\"x\"").await.len(), 1);
    // These have members, and a client decides what it sends.
    assert_eq!(
        errors_logged_for::<serde_json::Value>("[1, 2]").await.len(),
        0
    );
    assert_eq!(
        errors_logged_for::<HashMap<String, u8>>("{}").await.len(),
        0
    );
    assert_eq!(errors_logged_for::<IgnoredAny>("7").await.len(), 0);
}

#[derive(Debug, Deserialize)]
struct Inner {
    #[serde(rename = "acme-response")]
    _token: String,
}

#[derive(Debug, Deserialize)]
struct Flattened {
    _name: String,
    #[serde(flatten)]
    _inner: Inner,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Signup {
        #[serde(rename = "acme-response")]
        _token: String,
    },
}

#[derive(Debug, Deserialize)]
struct Other {
    _other: String,
}

#[tokio::test]
async fn a_type_that_needs_a_token_out_of_reach_is_an_error_event_once() {
    async fn errors<T: for<'de> Deserialize<'de>>(json: &str) -> usize {
        let log = Log::capture();
        for _ in 0..3 {
            let parsed = extract(|| serde_json::from_str::<WithToken<T>>(json)).await;
            assert!(parsed.is_err(), "{json}");
        }
        let errors = log.of("ERROR");
        for event in &errors {
            let type_name = std::any::type_name::<T>();
            assert!(
                event.contains(type_name) && event.contains("acme-response"),
                "{event}"
            );
        }
        errors.len()
    }
    // A client that leaves the token, or another member, out is told so by the refusal alone.
    assert_eq!(errors::<Flattened>(r#"{"_name":"a"}"#).await, 0);
    let flat = r#"{"_name":"a","acme-response":"t"}"#;
    assert_eq!(errors::<Flattened>(flat).await, 1);
    let tagged = r#"{"kind":"Signup","acme-response":"t"}"#;
    assert_eq!(errors::<Tagged>(tagged).await, 1);
    assert_eq!(errors::<Other>(r#"{"acme-response":"t"}"#).await, 0);
    let typed = r#"{"acme-response":"t","_other":["missing field `acme-response`"]}"#;
    assert_eq!(errors::<Other>(typed).await, 0);
    assert_eq!(errors::<u8>("\"missing field `acme-response`\"").await, 0);
}
