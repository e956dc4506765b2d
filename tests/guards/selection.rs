//! Fallback, step-up and clearance in each framework, against emulated providers that break.

use std::time::Duration;

use example_pages::Guards;
use human_check_config::Deployment;
use human_check_emulator::{EmulatedAccount, Emulator, Fault, Mint};
use human_check_guard::{Guard, RoutePolicy};
use serde_json::Value;

use crate::body_kinds::{form, multipart};
use crate::client::{Connection, Request, Response};
use crate::fixture::{Framework, ScriptedProvider, in_tokio, listen, serve};

/// Starts an emulator, which runs until the process ends.
fn emulator() -> &'static Emulator {
    let (sender, receiver) = std::sync::mpsc::channel();
    in_tokio(move || async move {
        sender.send(Emulator::start().await.unwrap()).unwrap();
        std::future::pending::<()>().await;
    });
    Box::leak(Box::new(receiver.recv().unwrap()))
}

/// An application whose primary account `a` is Turnstile, and whose fallback `b` is hCaptcha.
struct App {
    framework: Framework,
    a: &'static Emulator,
    b: &'static Emulator,
    connection: Connection,
}

const A: &str = "cf-turnstile-response";
const B: &str = "h-captcha-response";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn deployment(text: &str, emulators: &[(&str, &Emulator)]) -> Deployment {
    let mut text = text.to_owned();
    for (name, emulator) in emulators {
        text = text.replace(&format!("{{{name}}}"), &emulator.base_url());
    }
    for kind in ["turnstile", "hcaptcha", "recaptcha-v3", "recaptcha-v2"] {
        let keys = EmulatedAccount::for_provider(kind);
        text = text.replace(&format!("{{site_key of {kind}}}"), &keys.site_key);
    }
    let secret_of = |kind: &str| Some(EmulatedAccount::for_provider(kind).secret);
    Deployment::builder()
        .from_text(&text, move |name| match name {
            "HUMAN_CHECK_SECRET_A" => secret_of("turnstile"),
            "HUMAN_CHECK_SECRET_B" => secret_of("hcaptcha"),
            "HUMAN_CHECK_SECRET_V3" => secret_of("recaptcha-v3"),
            "HUMAN_CHECK_SECRET_V2" => secret_of("recaptcha-v2"),
            "OFFER_KEY" => Some(KEY.to_owned()),
            _ => None,
        })
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const FALLBACK: &str = r#"
[providers.a]
kind = "turnstile"
site_key = "{site_key of turnstile}"
base_url = "{a}"

[providers.b]
kind = "hcaptcha"
site_key = "{site_key of hcaptcha}"
base_url = "{b}"

[check]
use = "a"
fallback = ["b"]
offer_keys = [{ env = "OFFER_KEY" }]

[routes.signup]
[routes.comments]
"#;

impl App {
    fn all() -> Vec<Self> {
        Self::all_with(FALLBACK)
    }

    fn all_with(text: &str) -> Vec<Self> {
        let start = |framework| {
            let (a, b) = (emulator(), emulator());
            let deployment = deployment(text, &[("a", a), ("b", b)]);
            let guard = |route| deployment.guard(route).unwrap();
            let mut guards = Guards::new(guard("signup"), guard("comments"));
            guards.options = deployment.options_endpoint().unwrap();
            Self {
                framework,
                a,
                b,
                connection: Connection::to(serve(framework, guards)),
            }
        };
        Framework::ALL.map(start).into()
    }

    fn token_of_a(&self) -> String {
        self.a.mint(&Mint::for_provider("turnstile")).unwrap()
    }

    fn token_of_b(&self) -> String {
        self.b.mint(&Mint::for_provider("hcaptcha")).unwrap()
    }

    fn send(&mut self, request: &Request) -> Response {
        let response = self.connection.send(request);
        response.unwrap_or_else(|| panic!("{:?} closed without a response", self.framework))
    }

    fn post(&mut self, pairs: &[(&str, &str)]) -> Response {
        self.send(&form(&[&[("email", "ada@example.com")], pairs].concat()))
    }

    /// Sends a form as a browser does that navigates.
    fn navigate(&mut self, pairs: &[(&str, &str)]) -> Response {
        let request = form(pairs)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-site", "same-origin");
        self.send(&request)
    }

    fn page(&mut self) -> Response {
        self.send(&Request::post("/").method("GET"))
    }

    /// The service of `a` accepts no connection that ends well.
    fn break_a(&self) {
        self.a.fail(Fault::ResetBefore, None);
    }
}

/// Returns the one option of a problem.
fn option(response: &Response) -> Value {
    let problem: Value = serde_json::from_str(&response.body).unwrap();
    let options = problem["captcha"]["options"].as_array().unwrap();
    assert_eq!(options.len(), 1, "{}", response.body);
    options[0].clone()
}

/// Returns the hidden fields of a page.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("<input type=\"hidden\" ").skip(1);
    let attribute = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!("{name}=\""))?;
        rest.split_once('"')
            .map(|(value, _)| value.replace("&#39;", "'").replace("&amp;", "&"))
    };
    inputs
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
        .collect()
}

#[test]
fn a_visitor_with_plain_html_signs_up_during_an_outage_by_one_more_challenge() {
    for mut app in App::all() {
        let framework = app.framework;
        let first = app.page();
        let key_of = |kind| EmulatedAccount::for_provider(kind).site_key;
        assert!(first.body.contains(&key_of("turnstile")), "{framework:?}");
        assert!(!first.body.contains(&key_of("hcaptcha")), "{framework:?}");
        app.break_a();
        let token = app.token_of_a();
        let refused = app.navigate(&[
            ("email", "ada@example.com"),
            ("name", "A'da & co"),
            (A, &token),
        ]);
        assert_eq!(refused.status, 403, "{framework:?} {refused:?}");
        let page = &refused.body;
        assert!(
            page.contains(&key_of("hcaptcha")) && !page.contains(&token),
            "{framework:?} {page}"
        );
        let mut fields = hidden_fields(page);
        assert_eq!(
            fields[0],
            ("email".to_owned(), "ada@example.com".to_owned())
        );
        assert_eq!(fields[1], ("name".to_owned(), "A'da & co".to_owned()));
        fields.push((B.to_owned(), app.token_of_b()));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let passed = app.navigate(&fields);
        assert_eq!(passed.status, 200, "{framework:?} {passed:?}");
        assert!(
            passed.body.contains("A'da & co"),
            "{framework:?} {passed:?}"
        );
        // A page that is loaded now shows the fallback, and no cache may keep it.
        let page = app.page();
        assert!(page.body.contains(&key_of("hcaptcha")), "{framework:?}");
        assert!(!page.body.contains(&key_of("turnstile")), "{framework:?}");
        let cache = page.header("cache-control");
        assert_eq!(cache, Some("private, no-store"), "{framework:?}");
        // Its policy allows the sources of both accounts.
        for policy in [&first, &page].map(|page| page.header("content-security-policy").unwrap()) {
            assert!(
                policy.contains("hcaptcha.com") && policy.contains("127.0.0.1"),
                "{policy}"
            );
        }
    }
}

#[test]
fn a_form_of_another_origin_is_not_sent_again() {
    for mut app in App::all() {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = form(&[("email", "canary@example.com")])
                .header("accept", "text/html")
                .header(name, value);
            let refused = app.send(&request);
            assert_eq!(refused.status, 403, "{:?}", app.framework);
            assert!(
                !refused.body.contains("canary"),
                "{:?} {name} {value}",
                app.framework
            );
        }
        let request = form(&[("email", "ada@example.com")])
            .header("accept", "text/html")
            .header("origin", "http://localhost");
        assert!(
            app.send(&request).body.contains("ada@example.com"),
            "{:?}",
            app.framework
        );
        // A long form is not sent again either.
        let long = "x".repeat(17_000);
        let refused = app.navigate(&[("email", "a@b"), ("name", &long)]);
        assert_eq!(refused.status, 403, "{:?}", app.framework);
        assert!(refused.body.len() < 10_000, "{:?}", app.framework);
    }
}

#[test]
fn an_offer_and_its_token_arrive_by_form_json_header_and_multipart() {
    for mut app in App::all() {
        let framework = app.framework;
        app.break_a();
        let token = app.token_of_a();
        let refused = app.post(&[(A, &token)]);
        let shown = option(&refused);
        assert_eq!(
            (shown["provider"].as_str(), refused.status),
            (Some("hcaptcha"), 403)
        );
        let offer = shown["offer"].as_str().unwrap().to_owned();
        let calls = app.a.requests().len();
        let by_form = app.token_of_b();
        assert_eq!(
            app.post(&[(B, &by_form), ("human-check-offer", &offer)])
                .status,
            200
        );
        let json = serde_json::json!({
            "email": "ada@example.com",
            "h-captcha-response": app.token_of_b(),
            "human-check-offer": offer,
        });
        let by_json = Request::post("/signup").body("application/json", json.to_string());
        assert_eq!(app.send(&by_json).status, 200, "{framework:?}");
        let token = app.token_of_b();
        let by_multipart = multipart(&[
            ("email", None, b"ada@example.com"),
            ("files", Some("a.txt"), b"a file before them"),
            (B, None, token.as_bytes()),
            ("human-check-offer", None, offer.as_bytes()),
        ]);
        assert_eq!(app.send(&by_multipart).status, 200, "{framework:?}");
        // The token in the header, and the offer after a file.
        let with_offer = multipart(&[
            ("email", None, b"ada@example.com"),
            ("files", Some("a.txt"), b"a file before it"),
            ("human-check-offer", None, offer.as_bytes()),
        ])
        .header("x-captcha-token", app.token_of_b())
        .header("x-captcha-provider", "hcaptcha");
        assert_eq!(app.send(&with_offer).status, 200, "{framework:?}");
        // A token of the account that is down is still in the header.
        let token = app.token_of_b();
        let stale = multipart(&[
            ("email", None, b"ada@example.com"),
            (B, None, token.as_bytes()),
            ("human-check-offer", None, offer.as_bytes()),
        ])
        .header("x-captcha-token", app.token_of_a());
        assert_eq!(app.send(&stale).status, 200, "{framework:?}");
        let comment = Request::post("/comments").body("application/json", r#"{"text":"hello"}"#);
        let refused = app.send(&comment);
        let offer = option(&refused)["offer"].as_str().unwrap().to_owned();
        let by_header = comment
            .header("x-captcha-token", app.token_of_b())
            .header("x-captcha-provider", "hcaptcha")
            .header("x-captcha-offer", offer);
        assert_eq!(app.send(&by_header).status, 200, "{framework:?}");
        // Health probes went on, and no token of a visitor was sent to the account that is down.
        let later = app.a.requests();
        let visitors = later[calls..]
            .iter()
            .filter(|request| !String::from_utf8_lossy(&request.body).contains("health-probe"));
        assert_eq!(visitors.count(), 0, "{framework:?}");
    }
}

#[test]
fn without_an_outage_the_fallbacks_tokens_count_for_nothing() {
    for mut app in App::all() {
        for _ in 0..3 {
            let token = app.token_of_b();
            let refused = app.post(&[(B, &token)]);
            assert_eq!(
                option(&refused)["provider"],
                "turnstile",
                "{:?}",
                app.framework
            );
        }
        assert!(app.b.requests().is_empty(), "{:?}", app.framework);
        let options = Request::post("/human-check/options?route=signup").method("GET");
        let shown = app.send(&options);
        assert_eq!(
            option(&shown)["provider"],
            "turnstile",
            "{:?}",
            app.framework
        );
    }
}

#[test]
fn when_the_primary_is_back_its_widget_is_shown_again() {
    for mut app in App::all() {
        app.break_a();
        let token = app.token_of_a();
        assert_eq!(option(&app.post(&[(A, &token)]))["provider"], "hcaptcha");
        let offer = option(&app.post(&[]))["offer"].as_str().unwrap().to_owned();
        app.a.heal();
        // An old page passes whatever the state is.
        let token = app.token_of_b();
        let passed = app.post(&[(B, &token), ("human-check-offer", &offer)]);
        assert_eq!(passed.status, 200, "{:?}", app.framework);
    }
}

#[test]
fn an_exhausted_quota_falls_back_where_the_configuration_names_it() {
    let named = FALLBACK.replace("offer_keys", "fallback_on = [\"declined\"]\noffer_keys");
    for (text, falls_back) in [(FALLBACK, false), (&named, true)] {
        for mut app in App::all_with(text) {
            app.a.fail(
                Fault::Body {
                    text: r#"{"success":false,"error-codes":["over-quota"]}"#.to_owned(),
                },
                None,
            );
            let token = app.token_of_a();
            let refused = app.post(&[(A, &token)]);
            let framework = app.framework;
            assert_eq!(
                refused.status,
                if falls_back { 403 } else { 503 },
                "{framework:?} {refused:?}"
            );
            if falls_back {
                let offer = option(&refused)["offer"].as_str().unwrap().to_owned();
                let token = app.token_of_b();
                let passed = app.post(&[(B, &token), ("human-check-offer", &offer)]);
                assert_eq!(passed.status, 200, "{framework:?} {passed:?}");
            }
        }
    }
}

#[test]
fn a_low_score_leads_to_one_interactive_challenge_in_the_same_field() {
    const STEP_UP: &str = r#"
[providers.v3]
kind = "recaptcha-v3"
site_key = "{site_key of recaptcha-v3}"
base_url = "{a}"
min_score = 0.5

[providers.v2]
kind = "recaptcha-v2"
site_key = "{site_key of recaptcha-v2}"
base_url = "{a}"

[check]
use = "v3"
offer_keys = [{ env = "OFFER_KEY" }]

[replay_store]
kind = "memory"

[routes.signup]
step_up = { to = "v2", floor = 0.3 }

[routes.comments]
"#;
    const FIELD: &str = "g-recaptcha-response";
    for mut app in App::all_with(STEP_UP) {
        let framework = app.framework;
        let scored = |score| Mint::for_provider("recaptcha-v3").with_score(score);
        for (score, provider) in [(0.2, "recaptcha-v3"), (0.4, "recaptcha-v2")] {
            let token = app.a.mint(&scored(score)).unwrap();
            let shown = option(&app.post(&[(FIELD, &token)]));
            assert_eq!(shown["provider"], provider, "{framework:?} {score}");
        }
        let token = app.a.mint(&scored(0.4)).unwrap();
        let shown = option(&app.post(&[(FIELD, &token)]));
        let offer = shown["offer"].as_str().unwrap();
        let v2 = || app.a.mint(&Mint::for_provider("recaptcha-v2")).unwrap();
        let (first, second) = (v2(), v2());
        for (token, status) in [(first, 200), (second, 403)] {
            let sent = app.post(&[(FIELD, &token), ("human-check-offer", offer)]);
            assert_eq!(sent.status, status, "{framework:?} {sent:?}");
        }
    }
}

#[test]
fn two_machines_with_one_key_agree_and_one_without_it_does_not() {
    let (a, b) = (emulator(), emulator());
    let other_key = FALLBACK.replace("offer_keys = [{ env = \"OFFER_KEY\" }]\n", "");
    let machine = |text: &str| {
        let deployment = deployment(text, &[("a", a), ("b", b)]);
        let guard = |route| deployment.guard(route).unwrap();
        App {
            framework: Framework::Axum,
            a,
            b,
            connection: Connection::to(serve(
                Framework::Axum,
                Guards::new(guard("signup"), guard("comments")),
            )),
        }
    };
    let (mut one, mut two, mut three) = (machine(FALLBACK), machine(FALLBACK), machine(&other_key));
    one.break_a();
    let token = one.token_of_a();
    let offer = option(&one.post(&[(A, &token)]))["offer"]
        .as_str()
        .unwrap()
        .to_owned();
    a.heal();
    for (machine, status) in [(&mut one, 200), (&mut two, 200), (&mut three, 403)] {
        let token = machine.token_of_b();
        let sent = machine.post(&[(B, &token), ("human-check-offer", &offer)]);
        assert_eq!(sent.status, status, "{sent:?}");
    }
}

#[test]
fn one_token_that_draws_a_502_never_leads_to_the_fallback() {
    for mut app in App::all() {
        for _ in 0..4 {
            // The emulator breaks for this one call, and judges the health probes.
            app.a.fail(Fault::status(502), Some(2));
            let token = app.token_of_a();
            let refused = app.post(&[(A, &token)]);
            let problem: Value = serde_json::from_str(&refused.body).unwrap();
            assert_eq!(refused.status, 503, "{:?} {refused:?}", app.framework);
            assert_eq!(
                problem["captcha"]["retry"], true,
                "{:?} {refused:?}",
                app.framework
            );
            assert_eq!(refused.header("retry-after"), Some("1"));
            app.a.heal();
        }
        let token = app.token_of_a();
        assert_eq!(app.post(&[(A, &token)]).status, 200, "{:?}", app.framework);
    }
}

/// A guard that issues clearances.
fn issuing(provider: &ScriptedProvider) -> Guard {
    let policy = RoutePolicy::fail_closed("signup").with_issued_clearance(Duration::from_secs(600));
    Guard::new(provider.clone(), policy).unwrap()
}

#[test]
fn the_layers_of_a_request_send_one_cookie() {
    use axum::Router;
    use axum::routing::post;
    use human_check_axum::{ClearanceLayer, Human, HumanLayer};

    let guard = issuing(&ScriptedProvider::default());
    let human = HumanLayer::new(guard.clone());
    let router = Router::new().route("/", post(async |_: Human| "ok"));
    let apps = [
        router
            .clone()
            .layer(human.clone())
            .layer(ClearanceLayer::new()),
        router
            .clone()
            .layer(ClearanceLayer::new())
            .layer(human.clone()),
        router.layer(human.clone()).layer(human),
    ];
    for app in apps {
        let (listener, address) = listen();
        let app = app.with_state(guard.clone());
        in_tokio(move || async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        let request = Request::post("/").header("x-captcha-token", "good");
        let response = Connection::to(address).send(&request).unwrap();
        let cookies = response
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        assert_eq!((response.status, cookies.count()), (200, 1));
    }
}

mod rocket_routes {
    use human_check_rocket::{HumanQuery, PageHead};
    use rocket::get;

    #[get("/news?<topic>")]
    pub(super) fn number(_human: HumanQuery, topic: u32) -> String {
        format!("number {topic}")
    }

    #[get("/news?<topic>", rank = 2)]
    pub(super) fn text(_human: HumanQuery, topic: String) -> String {
        format!("text {topic}")
    }

    #[get("/head")]
    pub(super) fn head(head: PageHead) -> String {
        format!("{head:?}")
    }
}

fn rocket_client(provider: &ScriptedProvider) -> rocket::local::blocking::Client {
    let routes = rocket::routes![
        rocket_routes::number,
        rocket_routes::text,
        rocket_routes::head
    ];
    let rocket = rocket::custom(example_rocket_comments::config())
        .attach(human_check_rocket::HumanFairing::new(issuing(provider)))
        .mount("/", routes);
    rocket::local::blocking::Client::untracked(rocket).unwrap()
}

#[test]
fn a_token_in_the_query_is_verified_once_when_a_route_forwards() {
    let provider = ScriptedProvider::default();
    let client = rocket_client(&provider);
    let response = client.get(format!("/news?topic=rust&{B}=good")).dispatch();
    assert_eq!(response.into_string().unwrap(), "text rust");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn the_head_of_a_page_shows_no_query_and_no_header() {
    let client = rocket_client(&ScriptedProvider::default());
    let mut request = client.get(format!("/head?{B}=sesame"));
    request.add_header(rocket::http::Header::new("cookie", "session=hunter2"));
    let text = request.dispatch().into_string().unwrap();
    assert_eq!(text, "PageHead { method: \"GET\", host: None, .. }");
}
