//! The responses to refused requests, and the application's own headers on them.

use crate::body_kinds::{comment, form};
use crate::client::{Request, Response};
use crate::fixture::{Framework, apps, apps_with};

const FIELD: &str = "h-captcha-response";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[test]
fn a_refusal_is_a_problem_that_scripts_can_read() {
    for app in apps() {
        for request in [form(&[("email", "a@b")]), comment()] {
            let response = app.send(&request);
            let name = app.framework;
            assert_eq!(response.status, 403, "{name:?}");
            assert_eq!(
                response.header("content-type"),
                Some("application/problem+json"),
                "{name:?}"
            );
            assert_eq!(
                response.header("cache-control"),
                Some("no-store"),
                "{name:?}"
            );
            assert_eq!(
                response.header("vary"),
                Some("Accept, Accept-Language, HX-Request"),
                "{name:?}"
            );
            assert_eq!(
                response.header("x-captcha-required"),
                Some("hcaptcha"),
                "{name:?}"
            );
            let problem = response.json();
            assert_eq!(problem["status"], 403);
            assert_eq!(problem["captcha"]["options"][0]["provider"], "hcaptcha");
            assert_eq!(problem["captcha"]["options"][0]["field"], FIELD);
        }
    }
}

/// Removes the headers that differ between two equal responses.
fn comparable(mut response: Response) -> Response {
    let volatile = ["date", "connection", "keep-alive"];
    response
        .headers
        .retain(|(name, _)| !volatile.contains(&name.as_str()));
    response.headers.sort();
    // Each response has an offer of its own.
    if let Some(at) = response.body.find("\"offer\":\"") {
        response.body.replace_range(at + 9..at + 9 + 88, "");
    }
    response
}

#[test]
fn a_refusal_does_not_tell_why() {
    for app in apps() {
        let response_to = |token| comparable(app.send(&form(&[("email", "a@b"), (FIELD, token)])));
        let bad = response_to("bad");
        assert_eq!(bad.status, 403);
        for token in ["replayed", "anything", "x"] {
            assert_eq!(response_to(token), bad, "{:?} {token}", app.framework);
        }
        let leaks = ["replayed", "invalid", "expired", "bad"];
        assert!(
            leaks.iter().all(|leak| !bad.body.contains(leak)),
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn browsers_get_a_page_and_htmx_an_event() {
    for app in apps() {
        let page = app.send(&form(&[("email", "a@b")]).header("accept", BROWSER));
        assert_eq!(page.status, 403, "{:?}", app.framework);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{:?}",
            app.framework
        );
        assert!(
            page.body.starts_with("<!doctype html>"),
            "{:?}",
            app.framework
        );
        assert_eq!(page.header("hx-trigger"), None);

        let htmx = form(&[("email", "a@b")]).header("hx-request", "true");
        let htmx = app.send(&htmx);
        let event = htmx
            .header("hx-trigger")
            .unwrap_or_else(|| panic!("{:?}", app.framework));
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["human:challenge"]["options"][0]["field"], FIELD);
        assert_eq!(htmx.header("hx-reswap"), Some("none"));
        // A refusal without a challenge keeps the form, too.
        let long = form(&[("email", &"a".repeat(70_000))]).header("hx-request", "true");
        let long = app.send(&long);
        let is_ours = long.header("hx-trigger").is_some();
        assert_eq!(long.status, 413, "{:?}", app.framework);
        assert_eq!(long.header("hx-reswap"), is_ours.then_some("none"));
    }
}

#[test]
fn headers_of_the_application_are_kept_on_refusals() {
    for app in apps() {
        for request in [
            form(&[("email", "a@b")]),
            comment(),
            form(&[("email", "a@b"), (FIELD, "bad")]),
        ] {
            let response = app.send(&request);
            let kept = match app.framework {
                Framework::Actix | Framework::Axum => response.header("x-example").is_some(),
                // Rocket's shield adds this header.
                Framework::Rocket => response.header("x-content-type-options").is_some(),
            };
            assert!(kept, "{:?} {response:?}", app.framework);
        }
    }
}

#[test]
fn an_outage_and_a_wrong_key_are_told_apart() {
    for app in apps() {
        let down = app.send(&form(&[("email", "a@b"), (FIELD, "down")]));
        assert_eq!(down.status, 503, "{:?}", app.framework);
        assert!(down.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(down.header("x-captcha-required"), None);
        let wrong = app.send(&form(&[("email", "a@b"), (FIELD, "wrong-key")]));
        assert_eq!(wrong.status, 500, "{:?}", app.framework);
        assert!(
            !wrong.body.contains("key"),
            "{:?} {}",
            app.framework,
            wrong.body
        );
    }
}

#[test]
fn a_page_of_the_application_replaces_the_default_one() {
    let own = |builder: human_check_guard::GuardBuilder| {
        builder.with_refusal_page(|refusal| Some(format!("<p>own {}", refusal.denial().status())))
    };
    for app in apps_with(own) {
        let page = app.send(&form(&[("email", "a@b")]).header("accept", BROWSER));
        assert_eq!(
            (page.status, page.body.as_str()),
            (403, "<p>own 403"),
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn the_first_page_shows_a_widget_under_a_policy_that_lets_it_run() {
    let widget = || human_check_hcaptcha::widget("10000000-ffff-ffff-ffff-000000000001").unwrap();
    for app in apps_with(|builder| builder.with_widget(widget())) {
        let page = app.send(&Request::post("/").method("GET"));
        assert_eq!(page.status, 200, "{:?}", app.framework);
        assert!(page.body.contains("10000000-ffff-ffff-ffff-000000000001"));
        assert_eq!(
            page.body
                .matches("https://js.hcaptcha.com/1/api.js")
                .count(),
            3,
            "the page script loads it once for the three places"
        );
        let script = page.body.split("src=\"").nth(1).unwrap();
        let script = script.split('"').next().unwrap();
        let served = app.send(&Request::post(script).method("GET"));
        assert_eq!(served.status, 200, "{:?} {script}", app.framework);
        let caching = served.header("cache-control").unwrap();
        assert!(caching.contains("immutable"), "{caching}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("https://*.hcaptcha.com"),
            "{:?} {policy}",
            app.framework
        );
        let nonce = policy
            .split("'nonce-")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        assert!(
            page.body.contains(&format!("nonce=\"{nonce}\"")),
            "{:?}",
            app.framework
        );
        let again = app.send(&Request::post("/").method("GET"));
        assert!(
            !again
                .header("content-security-policy")
                .unwrap()
                .contains(nonce)
        );
    }
}
