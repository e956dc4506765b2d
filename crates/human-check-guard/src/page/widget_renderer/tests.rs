use human_check_core::Provider;
use human_check_core::adapter::{ChoiceAttribute, TextAttribute, WidgetSpec};

use super::*;

static ACME: Provider = Provider::new("acme", &["acme-response"]);
static ROBO: Provider = Provider::new("robo", &["robo-response"]);

/// A widget whose script adds the form field, and that takes its options as attributes.
static BOX: WidgetSpec = WidgetSpec {
    action: Some(TextAttribute {
        attribute: "data-action",
        punctuation: "_",
        max_chars: 32,
    }),
    language_attribute: Some("data-language"),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["light", "dark"],
    }),
    size: Some(ChoiceAttribute {
        attribute: "data-size",
        values: &["normal", "compact"],
    }),
    ..WidgetSpec::new("https://acme.example/api.js", "acme", "data-sitekey")
};

/// A widget with a hidden input and glue. Its site key and language are in the query of the
/// script's URL.
static SCORE: WidgetSpec = WidgetSpec {
    site_key_parameter: Some("render"),
    language_parameter: Some("hl"),
    hidden_input: true,
    glue: Some("glue();"),
    ..WidgetSpec::new("https://robo.example/api.js", "robo", "data-sitekey")
};

const ATTACK: &str = "\"><script>alert(1)</script>";

fn acme() -> Widget {
    Widget::new(&ACME, "key", &BOX).unwrap()
}

fn robo(key: &str) -> Widget {
    Widget::new(&ROBO, key, &SCORE).unwrap()
}

#[test]
fn options_are_attributes_of_the_element() {
    let widget = acme()
        .with_action("sign_up")
        .and_then(|w| w.with_language("de"))
        .and_then(|w| w.with_theme("dark"))
        .and_then(|w| w.with_size("compact"))
        .and_then(|w| w.with_data("tabindex", "2"))
        .unwrap();
    assert_eq!(
        WidgetRenderer::new().element(&widget).as_str(),
        "<div class=\"acme\" data-sitekey=\"key\" data-action=\"sign_up\" \
         data-language=\"de\" data-theme=\"dark\" data-size=\"compact\" \
         data-tabindex=\"2\"></div><noscript><p>JavaScript is needed to complete the human \
         check.</p></noscript>"
    );
}

#[test]
fn a_module_and_its_style_sheet_are_loaded_and_its_own_element_is_written() {
    static OWN: WidgetSpec = WidgetSpec {
        module: true,
        stylesheet: Some("own.css"),
        element: "own-widget",
        ..WidgetSpec::new("/captcha/own.js", "own", "challenge")
    };
    let widget = Widget::new(&ACME, "/challenge?a=1&b=2", &OWN).unwrap();
    let page = WidgetRenderer::new()
        .with_nonce("bm9uY2U")
        .unwrap()
        .with_noscript("none");
    assert_eq!(
        page.html(&widget).as_str(),
        "<link rel=\"stylesheet\" href=\"/captcha/own.css\" nonce=\"bm9uY2U\">\
         <script type=\"module\" src=\"/captcha/own.js\" async defer nonce=\"bm9uY2U\"></script>\
         <own-widget class=\"own\" challenge=\"/challenge?a=1&amp;b=2\"></own-widget>\
         <noscript><p>none</p></noscript>"
    );
    assert_eq!(
        page.script(&widget).as_str(),
        "",
        "the script is on the page already"
    );
}

#[test]
fn a_hidden_input_is_inside_its_element() {
    let page = WidgetRenderer::new().with_noscript("none");
    assert_eq!(
        page.element(&robo("key")).as_str(),
        "<div class=\"robo\" data-sitekey=\"key\"><input type=\"hidden\" \
         name=\"robo-response\" value=\"\" autocomplete=\"off\"></div>\
         <noscript><p>none</p></noscript>"
    );
    let renamed = robo("key").with_field("token").unwrap();
    assert!(page.element(&renamed).as_str().contains(" name=\"token\" "));
}

#[test]
fn nothing_breaks_out_of_an_attribute_or_of_the_message() {
    let widgets = [
        Widget::new(&ACME, ATTACK, &BOX).unwrap(),
        acme().with_data("note", ATTACK).unwrap(),
        acme().with_data("note", "' onload='alert(1)").unwrap(),
        robo(ATTACK),
        robo("key").with_field(ATTACK).unwrap(),
        robo("'onload='alert(1)&amp;"),
    ];
    for widget in widgets {
        let html = WidgetRenderer::new()
            .with_noscript(ATTACK)
            .html(&widget)
            .to_string();
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(!html.contains("\">alert"), "{html}");
        assert!(!html.contains('\''), "{html}");
        assert_eq!(html.matches("<div").count(), 1, "{html}");
        let own = html.matches("<script").count();
        assert_eq!(own, html.matches("</script>").count(), "{html}");
        assert_eq!(own, 1 + usize::from(widget.spec().glue.is_some()), "{html}");
    }
    let mut escaped = String::new();
    escape("&<>\"'a", &mut escaped);
    assert_eq!(escaped, "&amp;&lt;&gt;&quot;&#39;a");
}

#[test]
fn a_script_is_on_a_page_once_whatever_needs_it() {
    let page = WidgetRenderer::new();
    let first = page.html(&acme()).to_string();
    let second = page.html(&acme().with_action("login").unwrap()).to_string();
    assert_eq!(first.matches("<script").count(), 1);
    assert!(!second.contains("<script"));
    assert!(second.contains("data-action=\"login\""));
    assert_eq!(
        WidgetRenderer::new().script(&acme()),
        WidgetRenderer::new().script(&acme())
    );
}

#[test]
fn two_providers_share_a_page() {
    let page = WidgetRenderer::new();
    let both = format!("{}{}", page.html(&acme()), page.html(&robo("key")));
    assert_eq!(
        both.matches("src=\"").count(),
        2,
        "each has its script: {both}"
    );
    assert_eq!(both.matches("glue();").count(), 1);
    assert_eq!(both.matches("<noscript>").count(), 2);
    assert_eq!(page.script(&robo("key")).as_str(), "");
}

#[test]
fn a_script_that_knows_one_site_key_is_loaded_for_each_and_its_glue_once() {
    let page = WidgetRenderer::new();
    page.script(&robo("one"));
    assert_eq!(
        page.script(&robo("two")).as_str(),
        "<script src=\"https://robo.example/api.js?render=two\" async defer></script>"
    );
}

#[test]
fn the_first_language_counts_for_a_shared_script() {
    let page = WidgetRenderer::new();
    let german = robo("key").with_language("de").unwrap();
    let english = robo("key").with_language("en").unwrap();
    let html = page.script(&german);
    assert!(html.as_str().contains("?render=key&amp;hl=de\""), "{html}");
    assert_eq!(page.script(&english).as_str(), "");
}

#[test]
fn a_nonce_is_on_every_script() {
    let page = WidgetRenderer::new().with_nonce("bm9uY2U=").unwrap();
    let html = page.html(&robo("key")).to_string();
    assert_eq!(html.matches("<script").count(), 2);
    assert_eq!(html.matches(" nonce=\"bm9uY2U=\"").count(), 2);
    assert!(
        !WidgetRenderer::new()
            .html(&robo("key"))
            .as_str()
            .contains("nonce")
    );
}

#[test]
fn what_cannot_be_a_nonce_is_refused() {
    for bad in ["", " ", "a b", "\" onload=\"x", ATTACK, "a===", "'"] {
        assert_eq!(
            WidgetRenderer::new().with_nonce(bad).unwrap_err().field(),
            "nonce"
        );
    }
}

#[test]
fn pages_can_be_shared_with_a_template_engine() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<WidgetRenderer>();
    shared::<Html>();
}
