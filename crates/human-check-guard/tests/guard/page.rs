//! What pages get: places for the page script, texts in the visitor's language, and htmx's headers.

use std::time::Duration;

use human_check_core::adapter::{WidgetApi, WidgetSpec};
use human_check_core::{Provider, Widget};
use human_check_guard::{
    Account, AccountList, DenialReason, Guard, OptionsEndpoint, RequestHead, RoutePolicy,
    Selection, Text, Texts, WidgetRenderer, page_script_file_name,
};
use human_check_testkit::Scripted;
use serde_json::Value;

static OWN: Provider = Provider::new("own", &["own-response"]);
static SPEC: WidgetSpec = WidgetSpec {
    api: WidgetApi::Render("own"),
    ..WidgetSpec::new("https://own.example/api.js", "own", "data-sitekey")
};

/// The head of a request, with its headers.
struct Head(Vec<(&'static str, &'static str)>);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "POST"
    }

    fn peer(&self) -> Option<std::net::IpAddr> {
        None
    }

    fn query(&self) -> Option<&str> {
        Some("route=signup")
    }

    fn headers(&self, line: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in &self.0 {
            line(name, value.as_bytes());
        }
    }
}

fn guard_of(site_key: &str, texts: Texts) -> Guard {
    let account = Account::new("own", Scripted::human().with_provider(&OWN));
    let account = account.with_widget(Widget::new(&OWN, site_key, &SPEC).unwrap());
    Guard::builder_for(Selection::new(AccountList::new(account)))
        .with_texts(texts)
        .build(RoutePolicy::fail_closed("signup"))
        .unwrap()
}

fn guard() -> Guard {
    guard_of("key", Texts::new())
}

/// Returns an attribute of an element, as a browser reads it.
fn attribute(html: &str, name: &str) -> Option<String> {
    let value = html.split(&format!(" {name}=\"")).nth(1)?;
    let value = value.split('"').next()?;
    let value = value.replace("&lt;", "<").replace("&gt;", ">");
    let value = value.replace("&quot;", "\"").replace("&#39;", "'");
    Some(value.replace("&amp;", "&"))
}

#[test]
fn a_place_holds_the_option_and_no_markup_of_it() {
    let hostile = "\"><script>alert(1)</script>'&amp;";
    let selected = guard_of(hostile, Texts::new()).select(&Head(Vec::new()));
    let place = selected.place().to_string();
    assert!(
        !place.contains("<script") && place.matches('<').count() == 2,
        "{place}"
    );
    let option: Value = serde_json::from_str(&attribute(&place, "data-option").unwrap()).unwrap();
    assert_eq!(option["sitekey"], hostile);
    assert_eq!(option["offer"], selected.offer());
    assert_eq!(option["widget"]["api"], "render");
    assert_eq!(option["widget"]["attributes"]["data-sitekey"], hostile);
    assert_eq!(attribute(&place, "data-human-check").unwrap(), "signup");
    assert_eq!(
        attribute(&place, "data-origins").unwrap(),
        "https://own.example"
    );
}

#[test]
fn a_place_for_a_cache_has_no_offer() {
    let place = guard().place().to_string();
    assert!(
        !place.contains("data-option") && place.contains("data-origins"),
        "{place}"
    );
}

#[test]
fn a_page_has_the_script_once_with_its_nonce() {
    let renderer = WidgetRenderer::new().with_nonce("bm9uY2U").unwrap();
    let name = page_script_file_name();
    let tag =
        format!("<script type=\"module\" src=\"/captcha/{name}\" nonce=\"bm9uY2U\"></script>");
    let html = renderer.page_script("/captcha/").to_string();
    assert!(html.starts_with(&tag), "{html}");
    assert_eq!(html.matches("nonce=\"bm9uY2U\"").count(), 2, "{html}");
    assert_eq!(renderer.page_script("/captcha/").as_str(), "");
}

#[test]
fn refusals_have_the_language_of_the_request() {
    let html = |language| Head(vec![("accept", "text/html"), ("accept-language", language)]);
    let refused = guard().require_challenge(&html("fr-CA"));
    let page = &refused.response().body;
    assert!(page.contains("<html lang=\"fr\">"), "{page}");
    assert!(page.contains("<h1>Vérification requise</h1>"), "{page}");
    let json = guard().require_challenge(&Head(vec![("accept-language", "es, en;q=0.1")]));
    let headers = &json.response().headers;
    assert!(headers.contains(&("content-language", "es".into())));
    assert!(headers.contains(&("vary", "Accept, Accept-Language, HX-Request".into())));
    let problem: Value = serde_json::from_str(&json.response().body).unwrap();
    assert_eq!(problem["title"], "Verificación necesaria");
    assert_eq!(problem["captcha"]["texts"]["cancel"], "Cancelar");
    assert_eq!(problem["captcha"]["route"], "signup");
}

#[test]
fn texts_of_the_application_are_escaped_in_page_and_json() {
    let texts = Texts::new()
        .with_text("en", Text::ChallengeDetail, "A \"<b>\" & more")
        .unwrap();
    let guard = guard_of("key", texts);
    let page = guard.require_challenge(&Head(vec![("accept", "text/html")]));
    let body = &page.response().body;
    assert!(
        body.contains("<p>A &quot;&lt;b&gt;&quot; &amp; more</p>"),
        "{body}"
    );
    let json = guard.require_challenge(&Head(Vec::new()));
    let problem: Value = serde_json::from_str(&json.response().body).unwrap();
    assert_eq!(problem["detail"], "A \"<b>\" & more");
}

#[test]
fn the_options_have_the_texts_of_the_page_script() {
    let endpoint = OptionsEndpoint::new([guard()]);
    for (language, cancel) in [("ja", Some("キャンセル")), ("en", None)] {
        let head = Head(vec![("accept-language", language)]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let response = runtime.block_on(endpoint.respond(&head));
        assert!(
            response
                .headers
                .contains(&("vary", "Accept-Language, Origin".into()))
        );
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["captcha"]["texts"]["cancel"].as_str(), cancel);
    }
}

#[test]
fn htmx_keeps_the_form_at_every_refusal_and_gets_an_event() {
    let htmx = || Head(vec![("hx-request", "true"), ("accept-language", "zh")]);
    for denial in [
        DenialReason::ChallengeRequired,
        DenialReason::InvalidToken,
        DenialReason::VerificationFailed,
        DenialReason::AlreadySubmitted,
        DenialReason::Misconfigured,
        DenialReason::BodyTooLarge,
        DenialReason::BodyTooSlow,
        DenialReason::TooManyUploads,
        DenialReason::Unavailable {
            retry_after: Some(Duration::from_secs(1)),
            token_used: false,
            retry: true,
        },
    ] {
        let refused = guard().refuse(&htmx(), denial);
        let headers = &refused.response().headers;
        assert!(
            headers.contains(&("hx-reswap", "none".into())),
            "{denial:?}"
        );
        let (_, trigger) = headers
            .iter()
            .find(|(name, _)| *name == "hx-trigger")
            .unwrap();
        assert!(
            trigger.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{trigger}"
        );
        let events: Value = serde_json::from_str(trigger).unwrap();
        let (name, detail) = events.as_object().unwrap().iter().next().unwrap();
        let is_challenge = denial.status() == 403 || denial == DenialReason::InvalidToken;
        let expected = if is_challenge {
            "human:challenge"
        } else {
            "human:refused"
        };
        assert_eq!(name, expected, "{denial:?}");
        assert_eq!(detail["required"], is_challenge, "{denial:?}");
        assert!(
            detail["detail"].as_str().unwrap().contains('。'),
            "{detail}"
        );
        assert_eq!(detail["options"].is_array(), is_challenge, "{detail}");
    }
    let plain = guard().require_challenge(&Head(Vec::new()));
    let names = plain.response().headers.iter().map(|(name, _)| *name);
    assert!(names.into_iter().all(|name| !name.starts_with("hx-")));
}
