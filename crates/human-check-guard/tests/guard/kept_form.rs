//! The form that the page of a refusal sends again.

use human_check_core::adapter::WidgetSpec;
use human_check_core::{Provider, Widget};
use human_check_guard::integration::{GuardedRequest, scan};
use human_check_guard::{
    Account, AccountList, Guard, Human, Rejection, RequestHead, RoutePolicy, Selection,
};
use human_check_testkit::Scripted;

static OWN: Provider = Provider::new("own", &["own-response"]);
static SPEC: WidgetSpec = WidgetSpec::new("https://own.example/api.js", "own", "data-sitekey");

/// The head of a browser's request over plain HTTP.
struct Browser(Vec<(&'static str, &'static str)>);

impl RequestHead for Browser {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        line("accept", b"text/html");
        for (name, value) in &self.0 {
            line(name, value.as_bytes());
        }
    }
}

fn guard() -> Guard {
    let account = Account::new("own", Scripted::human().with_provider(&OWN));
    let account = account.with_widget(Widget::new(&OWN, "key", &SPEC).unwrap());
    Guard::builder_for(Selection::new(AccountList::new(account)))
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap()
}

/// Sends a form without a token.
async fn refused(head: &Browser, body: &[u8]) -> Rejection {
    let mut guarded = GuardedRequest::new(guard().snapshot(), head);
    guarded.keep_form_body(body);
    let tokens = scan::form(guarded.guard().fields(), body);
    let result: Result<Human, _> = guarded.require(tokens, None).await;
    result.unwrap_err()
}

fn same_origin() -> Browser {
    Browser(vec![("sec-fetch-site", "same-origin")])
}

#[tokio::test]
async fn what_was_typed_is_in_the_page_and_in_no_debug_output() {
    let refused = refused(&same_origin(), b"email=ada&password=hunter2").await;
    assert!(refused.response().body.contains("value=\"hunter2\""));
    let text = format!("{refused:?}");
    assert!(!text.contains("hunter2") && !text.contains("ada"), "{text}");
}

#[tokio::test]
async fn a_page_is_not_much_longer_than_its_form() {
    let many = refused(&same_origin(), "a&".repeat(8_192).as_bytes()).await;
    assert!(many.response().body.len() < 16_384);
    let quotes = format!("a={}", "%22".repeat(5_000));
    let quotes = refused(&same_origin(), quotes.as_bytes()).await;
    assert!(quotes.response().body.len() < 8 * 16_384);
}

#[tokio::test]
async fn a_form_that_would_change_is_not_kept() {
    let refused = refused(&same_origin(), b"name=%FF").await;
    assert!(!refused.response().body.contains("<form"));
}

#[tokio::test]
async fn a_page_keeps_no_form_of_an_unknown_origin() {
    let heads: [Vec<(&str, &str)>; 5] = [
        vec![],
        vec![("origin", "null"), ("host", "")],
        vec![
            ("origin", "https://evil.example"),
            ("host", "www.example.com"),
        ],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
    ];
    for head in heads {
        let refused = refused(&Browser(head.clone()), b"name=ada").await;
        assert!(!refused.response().body.contains("ada"), "{head:?}");
    }
    let own = vec![
        ("origin", "https://www.example.com"),
        ("host", "www.example.com"),
    ];
    let refused = refused(&Browser(own), b"name=ada").await;
    assert!(refused.response().body.contains("value=\"ada\""));
}
