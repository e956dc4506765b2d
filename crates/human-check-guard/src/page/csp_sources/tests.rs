use human_check_core::Provider;
use human_check_core::adapter::{WidgetSources, WidgetSpec};

use super::*;

static ACME: Provider = Provider::new("acme", &["acme-response"]);

static SCRIPT: WidgetSpec = with(WidgetSources {
    script: &["https://a.example"],
    ..WidgetSources::NONE
});
static FRAME: WidgetSpec = with(WidgetSources {
    frame: &["https://a.example"],
    ..WidgetSources::NONE
});
static STYLE: WidgetSpec = with(WidgetSources {
    style: &["https://a.example"],
    ..WidgetSources::NONE
});
static WORKER: WidgetSpec = with(WidgetSources {
    script: &["https://a.example"],
    worker: &["blob:"],
    ..WidgetSources::NONE
});
static OTHER: WidgetSpec = with(WidgetSources {
    script: &["https://b.example", "https://a.example"],
    connect: &["https://b.example"],
    ..WidgetSources::NONE
});

const fn with(sources: WidgetSources) -> WidgetSpec {
    WidgetSpec {
        sources,
        ..WidgetSpec::new("https://a.example/api.js", "a", "data-sitekey")
    }
}

fn widget(spec: &'static WidgetSpec) -> Widget {
    Widget::new(&ACME, "key", spec).unwrap()
}

fn of(spec: &'static WidgetSpec) -> CspSources {
    CspSources::of([&widget(spec)])
}

#[test]
fn two_widgets_need_what_either_needs_and_name_it_once() {
    let sources = CspSources::of([&widget(&SCRIPT), &widget(&FRAME), &widget(&OTHER)]);
    assert_eq!(
        sources.to_string(),
        "script-src https://a.example https://b.example; frame-src https://a.example; \
         connect-src https://b.example"
    );
    let nonced = sources.with_nonce("abc=").unwrap().to_string();
    assert!(nonced.starts_with("script-src 'nonce-abc=' https://a.example "));
    assert_eq!(CspSources::default().to_string(), "");
}

#[test]
fn a_directive_that_is_there_is_extended_in_place() {
    assert_eq!(
        of(&SCRIPT).merge_into("script-src 'self'; img-src *"),
        "script-src 'self' https://a.example; img-src *"
    );
    assert_eq!(
        of(&SCRIPT).merge_into("script-src"),
        "script-src https://a.example",
        "an empty list allows nothing"
    );
}

#[test]
fn merging_again_changes_nothing() {
    let sources = CspSources::of([&widget(&WORKER), &widget(&FRAME), &widget(&STYLE)])
        .with_nonce("n")
        .unwrap();
    for policy in [
        "default-src 'self'",
        "default-src 'none'; script-src-elem 'self'",
        "script-src 'unsafe-inline', frame-src 'none'",
        "",
    ] {
        let once = sources.merge_into(policy);
        assert_eq!(sources.merge_into(&once), once);
    }
}

#[test]
fn a_directive_that_is_absent_starts_from_what_was_in_effect() {
    for (spec, policy, merged) in [
        (
            &SCRIPT,
            "default-src 'self' https:",
            "default-src 'self' https:; script-src 'self' https: https://a.example",
        ),
        (
            &FRAME,
            "default-src 'none'; child-src 'self'",
            "default-src 'none'; child-src 'self'; frame-src 'self' https://a.example",
        ),
        (
            &FRAME,
            "default-src 'self'",
            "default-src 'self'; frame-src 'self' https://a.example",
        ),
        (
            &WORKER,
            "child-src 'self'; default-src x:",
            "child-src 'self'; default-src x:; script-src x: https://a.example; \
             worker-src 'self' blob:",
        ),
        (
            &WORKER,
            "script-src 'self'; default-src x:",
            "script-src 'self' https://a.example; default-src x:; worker-src 'self' blob:",
        ),
        (
            &WORKER,
            "default-src 'self'",
            "default-src 'self'; script-src 'self' https://a.example; \
             worker-src 'self' blob:",
        ),
        (
            &STYLE,
            "default-src 'self'; style-src y:",
            "default-src 'self'; style-src y: https://a.example",
        ),
    ] {
        assert_eq!(of(spec).merge_into(policy), merged, "{policy}");
    }
}

#[test]
fn a_directive_without_a_fallback_stays_absent() {
    for policy in ["", "img-src 'self'", "frame-ancestors 'none'; script-src *"] {
        assert_eq!(of(&FRAME).merge_into(policy), policy);
    }
    let nonced = of(&FRAME).with_nonce("n").unwrap();
    assert_eq!(nonced.merge_into("img-src 'self'"), "img-src 'self'");
}

#[test]
fn nothing_is_none_any_more_once_a_source_is_there() {
    for none in ["'none'", "'NONE'"] {
        assert_eq!(
            of(&SCRIPT).merge_into(&format!("script-src {none}")),
            "script-src https://a.example"
        );
        assert_eq!(
            of(&SCRIPT).merge_into(&format!("default-src {none}")),
            format!("default-src {none}; script-src https://a.example")
        );
    }
}

#[test]
fn what_is_allowed_already_is_not_named_twice() {
    let policy = "script-src https://a.example 'self'";
    assert_eq!(of(&SCRIPT).merge_into(policy), policy);
    let policy = "default-src https://a.example";
    assert_eq!(of(&SCRIPT).merge_into(policy), policy);
}

#[test]
fn names_are_read_in_any_case_and_the_first_of_two_counts() {
    assert_eq!(
        of(&SCRIPT).merge_into("Script-SRC 'self'; script-src *; ;"),
        "Script-SRC 'self' https://a.example; script-src *"
    );
    assert_eq!(
        of(&SCRIPT).merge_into("DEFAULT-SRC 'self'; default-src *"),
        "DEFAULT-SRC 'self'; default-src *; script-src 'self' https://a.example"
    );
}

#[test]
fn the_lists_for_elements_are_extended_where_they_are() {
    assert_eq!(
        of(&SCRIPT).merge_into("script-src-elem 'self'"),
        "script-src-elem 'self' https://a.example"
    );
    assert_eq!(
        of(&SCRIPT).merge_into("script-src x:; script-src-elem 'none'; script-src-attr 'none'"),
        "script-src x: https://a.example; script-src-elem https://a.example; \
         script-src-attr 'none'"
    );
    assert_eq!(
        of(&STYLE).merge_into("style-src-elem 'self'; style-src-attr 'none'"),
        "style-src-elem 'self' https://a.example; style-src-attr 'none'"
    );
}

#[test]
fn every_one_of_several_policies_is_extended() {
    assert_eq!(
        of(&SCRIPT).merge_into("script-src 'self', default-src 'none' , img-src *,"),
        "script-src 'self' https://a.example, \
         default-src 'none'; script-src https://a.example, img-src *"
    );
}

#[test]
fn a_nonce_joins_the_scripts_and_no_other_directive() {
    let sources = CspSources::of([&widget(&SCRIPT), &widget(&STYLE)])
        .with_nonce("n0")
        .unwrap();
    assert_eq!(
        sources.merge_into("default-src 'self'; script-src-elem 'self'"),
        "default-src 'self'; script-src-elem 'self' 'nonce-n0' https://a.example; \
         script-src 'self' 'nonce-n0' https://a.example; style-src 'self' https://a.example"
    );
}

#[test]
fn a_nonce_never_switches_off_the_inline_scripts_of_a_page() {
    let sources = of(&SCRIPT).with_nonce("n0").unwrap();
    for (policy, nonced) in [
        ("script-src 'unsafe-inline'", false),
        ("script-src 'self' 'Unsafe-Inline'", false),
        ("default-src 'unsafe-inline'", false),
        ("script-src 'unsafe-inline' 'nonce-other'", true),
        ("script-src 'unsafe-inline' 'sha256-AAAA'", true),
        ("script-src 'unsafe-inline' 'strict-dynamic'", true),
    ] {
        let merged = sources.merge_into(policy);
        assert_eq!(merged.contains("'nonce-n0'"), nonced, "{merged}");
    }
}

#[test]
fn workers_that_strict_dynamic_allows_are_not_put_on_a_list() {
    assert_eq!(
        of(&WORKER).merge_into("script-src 'nonce-a' 'strict-dynamic'"),
        "script-src 'nonce-a' 'strict-dynamic' https://a.example"
    );
}

/// Returns the sources that a browser applies for `directive`. `None` if it allows everything.
fn applied(policy: &str, directive: &str) -> Option<Vec<String>> {
    let policy = Policy::parse(policy);
    let elements = elements_of(directive).and_then(|name| policy.get(name));
    let sources = elements.or_else(|| policy.in_effect(directive).map(|(_, sources)| sources));
    let sources = sources?.iter().filter(|source| **source != "'none'");
    Some(sources.map(|source| (*source).to_owned()).collect())
}

#[test]
fn nothing_allowed_is_forbidden_and_nothing_else_allowed() {
    let all = CspSources::of([&WORKER, &FRAME, &STYLE].map(widget).iter());
    let names = [
        "default-src",
        "child-src",
        "script-src",
        "script-src-elem",
        "style-src",
        "style-src-elem",
        "frame-src",
        "worker-src",
    ];
    // Each directive is absent, allows nothing, or allows a host of its own.
    for choice in 0..3_u32.pow(8) {
        let state = |place: usize| choice / 3_u32.pow(u32::try_from(place).unwrap()) % 3;
        let present = names.iter().enumerate().filter_map(|(place, name)| {
            let sources = match state(place) {
                0 => return None,
                1 => "'none'".to_owned(),
                _ => format!("https://{name}.example"),
            };
            Some(format!("{name} {sources}"))
        });
        let policy = present.collect::<Vec<_>>().join("; ");
        let merged = all.merge_into(&policy);
        for (directive, added) in all.directives() {
            let expected = applied(&policy, directive).map(|mut sources| {
                sources.extend_from_slice(added);
                sources
            });
            assert_eq!(
                applied(&merged, directive),
                expected,
                "{policy} -> {merged}"
            );
        }
        for other in ["font-src", "media-src", "connect-src", "img-src"] {
            assert_eq!(applied(&merged, other), applied(&policy, other), "{policy}");
        }
    }
}

#[test]
fn a_nonce_is_base64_in_either_alphabet() {
    for good in ["a", "abc+/09==", "abc-_", "YQ=="] {
        assert!(of(&SCRIPT).with_nonce(good).is_ok(), "{good}");
    }
    for bad in [
        "", "=", "==", "a===", "a b", "a'", "a;", "a=b", "a\"", "ü", "a,",
    ] {
        let error = of(&SCRIPT).with_nonce(bad).unwrap_err();
        assert_eq!(error.field(), "nonce", "{bad}");
    }
}
