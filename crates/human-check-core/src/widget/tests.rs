use super::*;
use crate::adapter::WidgetSources;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

static BARE: WidgetSpec = WidgetSpec::new("https://acme.example/api.js", "acme", "data-key");

static FULL: WidgetSpec = WidgetSpec {
    parameters: &[("compat", "off")],
    site_key_parameter: Some("render"),
    language_parameter: Some("hl"),
    language_attribute: Some("data-language"),
    action: Some(TextAttribute {
        attribute: "data-action",
        punctuation: "_",
        max_chars: 8,
    }),
    binding: Some(TextAttribute {
        attribute: "data-cdata",
        punctuation: "_-",
        max_chars: 8,
    }),
    theme: Some(ChoiceAttribute {
        attribute: "data-theme",
        values: &["light", "dark"],
    }),
    size: Some(ChoiceAttribute {
        attribute: "data-size",
        values: &["normal"],
    }),
    field_attribute: Some("data-field"),
    sources: WidgetSources {
        script: &["https://acme.example/js/", "https://cdn.example"],
        frame: &["https://*.acme.example"],
        style: &["'unsafe-inline'"],
        ..WidgetSources::NONE
    },
    ..BARE
};

fn bare() -> Widget {
    Widget::new(&ACME, "key", &BARE).unwrap()
}

fn full() -> Widget {
    Widget::new(&ACME, "key", &FULL).unwrap()
}

#[test]
fn a_site_key_is_one_printable_word() {
    for bad in ["", "  ", "a b", "a\nb", "a\u{0}", "schlüssel"] {
        let error = Widget::new(&ACME, bad, &BARE).unwrap_err();
        assert_eq!(error.field(), "site_key", "{bad:?}");
    }
    let fieldless = Provider::named("acme");
    let error = Widget::new(&fieldless, "key", &BARE).unwrap_err();
    assert_eq!(error.field(), "provider");
}

#[test]
fn an_option_the_provider_does_not_have_is_an_error_that_names_it() {
    let errors = [
        ("action", bare().with_action("login")),
        ("binding", bare().with_binding("session")),
        ("theme", bare().with_theme("dark")),
        ("size", bare().with_size("normal")),
        ("language", bare().with_language("en")),
        ("field", bare().with_field("token")),
    ];
    for (option, result) in errors {
        let error = result.unwrap_err();
        assert_eq!(error.field(), option);
        assert!(error.problem().contains("acme"), "{error}");
    }
}

#[test]
fn a_value_the_provider_does_not_accept_is_an_error_that_lists_the_values() {
    let error = full().with_theme("blue").unwrap_err();
    assert_eq!(error.remedy(), "write one of: light, dark");
    assert!(full().with_size("huge").is_err());
    for bad in ["", "too_long_", "a-b", "ü", "\"><script>"] {
        assert!(full().with_action(bad).is_err(), "{bad:?}");
    }
    for bad in ["", "en_US", "en US", "de\"", "d\u{e9}"] {
        assert!(full().with_language(bad).is_err(), "{bad:?}");
    }
    for bad in ["", " ", "a b"] {
        assert!(full().with_field(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn options_become_attributes_in_a_fixed_order() {
    let widget = full()
        .with_data("tabindex", "3")
        .and_then(|w| w.with_size("normal"))
        .and_then(|w| w.with_theme("dark"))
        .and_then(|w| w.with_binding("s-1"))
        .and_then(|w| w.with_action("login"))
        .and_then(|w| w.with_language("pt-BR"))
        .and_then(|w| w.with_field("token"))
        .and_then(|w| w.with_data("tabindex", "4"))
        .unwrap();
    assert_eq!(
        widget.attributes().collect::<Vec<_>>(),
        [
            ("class", "acme"),
            ("data-key", "key"),
            ("data-action", "login"),
            ("data-cdata", "s-1"),
            ("data-language", "pt-BR"),
            ("data-theme", "dark"),
            ("data-size", "normal"),
            ("data-field", "token"),
            ("data-tabindex", "4"),
        ]
    );
    assert_eq!(widget.field(), "token");
    assert_eq!(bare().field(), "acme-response");
}

#[test]
fn extra_attributes_cannot_break_out_or_replace_an_option() {
    for bad in ["", "A", "on load", "x=\"", "theme", "key", "field"] {
        assert!(full().with_data(bad, "x").is_err(), "{bad:?}");
    }
}

#[test]
fn the_query_of_the_script_has_the_parameters_of_the_provider() {
    assert_eq!(bare().script_src(), "https://acme.example/api.js");
    let widget = Widget::new(&ACME, "k&hl=x#", &FULL).unwrap();
    let widget = widget.with_language("de").unwrap();
    assert_eq!(
        widget.script_src(),
        "https://acme.example/api.js?compat=off&render=k%26hl%3Dx%23&hl=de"
    );
}

#[test]
fn a_script_at_another_url_keeps_its_query_and_changes_the_policy() {
    let widget = full()
        .with_script_url("http://127.0.0.1:8080/a.js")
        .unwrap();
    assert_eq!(
        widget.script_src(),
        "http://127.0.0.1:8080/a.js?compat=off&render=key"
    );
    assert_eq!(
        widget.csp_sources(),
        [
            (
                "script-src",
                vec!["http://127.0.0.1:8080", "https://cdn.example"]
            ),
            (
                "frame-src",
                vec!["http://127.0.0.1:8080", "https://*.acme.example"]
            ),
            (
                "style-src",
                vec!["http://127.0.0.1:8080", "'unsafe-inline'"]
            ),
        ]
    );
    assert_eq!(
        full().csp_sources()[0].1,
        ["https://acme.example/js/", "https://cdn.example"]
    );
}

#[test]
fn a_script_comes_from_an_absolute_url_or_path_without_a_query() {
    for bad in [
        "",
        "api.js",
        "./api.js",
        "/api.js?x=1",
        "/a;b.js",
        "/a b.js",
        "/\"><script>",
        "//host/api.js",
        "javascript:alert(1)",
        "https://",
        "https://host",
        "https:///api.js",
        "https://:80/api.js",
        "https://host/api.js?x=1",
        "https://host/api.js#x",
        "https://user@host/api.js",
        "https://host;script-src/api.js",
        "https://host,x/api.js",
        "https://*/api.js",
        "https://host/a b.js",
        "http://host/api.js",
        "http://127.0.0.1.example/api.js",
        "javascript://localhost/api.js",
        "https://[::1/api.js",
        "https://host/\"><script>",
    ] {
        assert!(full().with_script_url(bad).is_err(), "{bad:?}");
    }
    assert!(full().with_script_url("https://host:8443/a/api.js").is_ok());
    for own_machine in ["127.0.0.1", "localhost:8080", "[::1]:8765"] {
        let url = format!("http://{own_machine}/api.js");
        assert!(full().with_script_url(url.as_str()).is_ok(), "{url}");
    }
    assert!(full().with_script_url("/captcha/api.js").is_ok());
}

#[test]
fn a_script_of_the_page_s_own_origin_is_allowed_as_such() {
    static OWN: WidgetSpec = WidgetSpec {
        stylesheet: Some("widget.css"),
        sources: WidgetSources {
            script: &["'self'"],
            worker: &["'self'"],
            ..WidgetSources::NONE
        },
        ..WidgetSpec::new("/captcha/widget.js", "own", "data-challenge")
    };
    let own = || Widget::new(&ACME, "/challenge", &OWN).unwrap();
    let widget = own();
    assert_eq!(
        widget.stylesheet_href().unwrap(),
        "/captcha/widget.css",
        "in the folder of the script"
    );
    let moved = own().with_script_url("/static/a.js").unwrap();
    assert_eq!(moved.stylesheet_href().unwrap(), "/static/widget.css");
    let policy = [
        ("script-src", vec!["'self'"]),
        ("worker-src", vec!["'self'"]),
    ];
    assert_eq!(widget.csp_sources(), policy);
    assert_eq!(moved.csp_sources(), policy);
    let moved = own().with_script_url("https://cdn.example/a.js").unwrap();
    assert_eq!(moved.csp_sources()[0].1, ["https://cdn.example"]);
    let self_hosted = full().with_script_url("/a.js").unwrap();
    assert_eq!(
        self_hosted.csp_sources()[0].1,
        ["'self'", "https://cdn.example"]
    );
}
