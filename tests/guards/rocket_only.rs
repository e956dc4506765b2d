//! Features that only Rocket has: fairings, sentinels, catchers, wrapped routes and forwards.

use human_check_config::Deployment;
use human_check_guard::{Guard, RoutePolicy, Trigger};
use human_check_rocket::{
    GuardRoutes, Human, HumanError, HumanFairing, HumanForm, HumanJson, MaybeHuman, catchers,
};
use rocket::figment::Figment;
use rocket::form::{Contextual, Strict};
use rocket::http::{ContentType, Header, Status};
use rocket::local::blocking::{Client, LocalRequest};
use rocket::response::content::RawHtml;
use rocket::{Build, FromForm, Rocket, catch, get, post, routes};
use serde::Deserialize;

use crate::fixture::ScriptedProvider;

fn guard(provider: &ScriptedProvider) -> Guard {
    Guard::new(provider.clone(), RoutePolicy::fail_closed("site")).unwrap()
}

fn quiet() -> Figment {
    rocket::Config::figment()
        .merge(("log_level", "off"))
        .merge(("secret_key", "hPRYyVRiMyxpw5sBB1XeCMN1kFsDCqKvBi2QJxBVHQk="))
}

fn plain() -> Rocket<Build> {
    rocket::custom(quiet())
}

fn launch(rocket: Rocket<Build>) -> Client {
    Client::untracked(rocket).unwrap()
}

fn with_token<'c>(request: LocalRequest<'c>, token: &str) -> LocalRequest<'c> {
    request.header(Header::new("X-Captcha-Token", token.to_owned()))
}

fn send(request: LocalRequest<'_>) -> (u16, String) {
    let response = request.dispatch();
    (
        response.status().code,
        response.into_string().unwrap_or_default(),
    )
}

#[test]
fn every_status_of_a_refusal_has_a_catcher() {
    let page = include_str!("../../docs/reference/refusal-responses.md");
    let statuses = page
        .lines()
        .filter(|line| line.starts_with("| [`"))
        .map(|line| line.split('|').nth(2).unwrap().trim());
    let catchers = catchers();
    let mut known = 0;
    for status in statuses {
        let code: u16 = status.parse().unwrap();
        let caught = catchers.iter().any(|catcher| catcher.code == Some(code));
        assert!(caught, "{code}");
        known += 1;
    }
    assert!(known >= 8, "{known}");
}

#[post("/human")]
fn human(_human: &Human) -> &'static str {
    "ran"
}

#[post("/fallible")]
fn fallible(human: Result<&Human, HumanError>) -> String {
    human.map_or_else(|error| error.to_string(), |_| "human".to_owned())
}

#[post("/maybe")]
fn maybe(visitor: &MaybeHuman) -> &'static str {
    match visitor.human() {
        Some(_) => "human",
        None => "unverified",
    }
}

#[post("/three")]
fn three(_one: &Human, _two: &MaybeHuman, _three: &Human) -> &'static str {
    "ran"
}

#[derive(FromForm)]
struct Age {
    age: u8,
}

#[post("/strict", data = "<form>")]
fn strict(form: HumanForm<Strict<Age>>) -> String {
    form.age.to_string()
}

#[post("/contextual", data = "<form>")]
fn contextual(form: HumanForm<Contextual<'_, Age>>) -> &'static str {
    form.value.as_ref().map_or("invalid", |_| "valid")
}

#[derive(Deserialize)]
struct Borrowed<'r> {
    text: &'r str,
}

#[post("/json", data = "<json>")]
fn json(json: HumanJson<Borrowed<'_>>) -> String {
    json.text.to_owned()
}

#[post("/open")]
fn open() -> &'static str {
    "ran"
}

#[get("/<_..>", rank = 100)]
fn catch_all() -> &'static str {
    "everything"
}

#[post("/human", rank = 2)]
fn maybe_strict(_visitor: &MaybeHuman) -> &'static str {
    "ran"
}

#[post("/forbidden")]
fn forbidden() -> Status {
    Status::Forbidden
}

#[get("/page")]
fn page() -> (Status, CspPage) {
    (
        Status::Ok,
        CspPage(
            RawHtml("page"),
            Header::new("Content-Security-Policy", "default-src 'self'"),
        ),
    )
}
#[derive(rocket::Responder)]
struct CspPage(RawHtml<&'static str>, Header<'static>);

#[test]
fn a_forgotten_fairing_stops_the_launch() {
    for routes in [
        routes![human],
        routes![fallible],
        routes![maybe],
        routes![strict],
        routes![json],
    ] {
        let error = Client::untracked(plain().mount("/", routes)).unwrap_err();
        assert!(
            matches!(error.kind(), rocket::error::ErrorKind::SentinelAborts(_)),
            "{error:?}"
        );
    }
}

#[test]
fn rockets_own_configuration_describes_a_deployment() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "0x4AAAAAAADemoSecret").unwrap();
    let figment = quiet()
        .merge(("human_check.providers.main.kind", "turnstile"))
        .merge((
            "human_check.providers.main.site_key",
            "0x4AAAAAAADemoSiteKey",
        ))
        .merge(("human_check.providers.main.secret.file", secret.path()))
        .merge(("human_check.check.use", "main"))
        .merge(("human_check.site.header", "X-Human"))
        .merge(("human_check.routes.signup.on_outage", "fail-closed"));
    let deployment = Deployment::builder()
        .from_figment(&figment, "human_check")
        .unwrap();
    let client = launch(
        rocket::custom(figment)
            .attach(HumanFairing::new(deployment.guard("signup").unwrap()))
            .mount("/", routes![human]),
    );
    // Status 400 shows that the guard read this header: the value is no token. No call is made.
    let request = client
        .post("/human")
        .header(Header::new("X-Human", "no token"));
    assert_eq!(send(request).0, 400);
    assert_eq!(send(client.post("/human")).0, 403);
}

#[test]
fn several_guards_of_one_request_call_once() {
    let provider = ScriptedProvider::default();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard(&provider)))
            .mount("/", routes![three]),
    );
    assert_eq!(send(with_token(client.post("/three"), "good")).1, "ran");
    assert_eq!(provider.calls(), 1);
}

#[test]
fn each_policy_has_its_own_decision() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let lazy = site
        .with_policy(RoutePolicy::fail_closed("lazy").with_trigger(Trigger::when(|_| false)))
        .unwrap();
    let client = launch(
        plain()
            .attach(HumanFairing::new(site))
            .mount("/", routes![maybe, human])
            .mount("/lazy", lazy.scope(routes![maybe, human]))
            .register("/", catchers()),
    );
    assert_eq!(send(client.post("/maybe")).0, 403);
    assert_eq!(send(client.post("/lazy/maybe")).1, "unverified");
    assert_eq!(send(with_token(client.post("/lazy/maybe"), "bad")).0, 403);
    assert_eq!(
        send(with_token(client.post("/lazy/maybe"), "good")).1,
        "human"
    );
    // A handler that takes `&Human` does not run without a proof, whatever the policy allows.
    assert_eq!(send(client.post("/lazy/human")).0, 403);
    assert_eq!(
        send(with_token(client.post("/lazy/human"), "good")).1,
        "ran"
    );
}

/// A route that makes a decision and then forwards the request to the next route.
#[post("/human", rank = 1)]
fn forwards(_visitor: &MaybeHuman, _never: Never) -> &'static str {
    "never"
}

struct Never;

#[rocket::async_trait]
impl<'r> rocket::request::FromRequest<'r> for Never {
    type Error = ();

    async fn from_request(_: &'r rocket::Request<'_>) -> rocket::request::Outcome<Self, ()> {
        rocket::request::Outcome::Forward(Status::NotFound)
    }
}

#[test]
fn a_lenient_route_that_forwards_does_not_weaken_the_next_route() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let observing = site
        .with_policy(RoutePolicy::fail_open("observing").with_observe_only())
        .unwrap();
    let client = launch(
        plain()
            .attach(HumanFairing::new(site))
            .mount("/", observing.scope(routes![forwards]))
            .mount("/", routes![maybe_strict])
            .register("/", catchers()),
    );
    assert_eq!(send(client.post("/human")).0, 403);
    assert_eq!(send(with_token(client.post("/human"), "bad")).0, 403);
    assert_eq!(send(with_token(client.post("/human"), "down")).0, 503);
}

#[test]
fn wrapped_routes_are_screened_however_they_are_reached() {
    let provider = ScriptedProvider::default();
    let site = guard(&provider);
    let client = launch(
        plain()
            .attach(HumanFairing::new(site.clone()))
            .mount("/screened", site.routes(routes![open, human]))
            .mount("/", routes![catch_all])
            .register("/", catchers()),
    );
    for path in [
        "/screened/open",
        "//screened/open",
        "/%73creened/open",
        "/screened//open",
    ] {
        let (status, body) = send(client.post(path.to_owned()));
        assert_eq!(status, 403, "{path} {body}");
        assert_eq!(
            send(with_token(client.post(path.to_owned()), "good")),
            (200, "ran".to_owned()),
            "{path}"
        );
    }
    let before = provider.calls();
    assert_eq!(
        send(with_token(client.post("/screened/human"), "good")).1,
        "ran"
    );
    assert_eq!(provider.calls(), before + 1);
    // An unknown path causes no call, and a refusal does not fall through to the catch-all route.
    assert_eq!(
        send(with_token(client.post("/screened/elsewhere"), "good")).0,
        404
    );
    assert_eq!(provider.calls(), before + 1);
    let by_form = client
        .post("/screened/open")
        .header(ContentType::Form)
        .body("_method=get");
    assert_eq!(send(by_form), (200, "everything".to_owned()));
}

#[test]
fn a_soft_guard_lets_the_handler_decide() {
    let provider = ScriptedProvider::default();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard(&provider)))
            .mount("/", routes![fallible]),
    );
    assert_eq!(
        send(with_token(client.post("/fallible"), "good")).1,
        "human"
    );
    assert_eq!(send(client.post("/fallible")).1, "Verification required");
    assert_eq!(
        send(with_token(client.post("/fallible"), "bad")).1,
        "Verification failed"
    );
}

#[test]
fn strict_contextual_and_borrowing_types_work() {
    let provider = ScriptedProvider::default();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard(&provider)))
            .mount("/", routes![strict, contextual, json]),
    );
    let form = |path: &'static str, body: &'static str| {
        send(client.post(path).header(ContentType::Form).body(body))
    };
    assert_eq!(form("/strict", "age=3&h-captcha-response=good").1, "3");
    assert_eq!(form("/strict", "age=3&x=1&h-captcha-response=good").0, 422);
    assert_eq!(provider.calls(), 1);
    // `Contextual` accepts an invalid form, so the token is used in both cases.
    assert_eq!(
        form("/contextual", "age=3&h-captcha-response=good").1,
        "valid"
    );
    assert_eq!(
        form("/contextual", "age=old&h-captcha-response=good").1,
        "invalid"
    );
    assert_eq!(form("/contextual", "age=3").0, 403);
    assert_eq!(provider.calls(), 3);
    let body = r#"{"text":"hello","h-captcha-response":"good"}"#;
    let request = client.post("/json").header(ContentType::JSON).body(body);
    assert_eq!(send(request).1, "hello");
}

#[catch(403)]
fn custom_catcher(request: &rocket::Request<'_>) -> String {
    let refused = human_check_rocket::refusal(request);
    refused.map_or_else(
        || "other".to_owned(),
        |refused| format!("own {}", refused.reason().as_str()),
    )
}

#[test]
fn a_catcher_of_the_application_gets_the_refusal_and_the_headers_are_set() {
    let provider = ScriptedProvider::default();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard(&provider)))
            .mount("/", routes![human, forbidden])
            .register("/", rocket::catchers![custom_catcher]),
    );
    let response = client.post("/human").dispatch();
    assert_eq!(
        response.headers().get_one("cache-control"),
        Some("no-store")
    );
    assert_eq!(
        response.headers().get_one("x-captcha-required"),
        Some("hcaptcha")
    );
    assert_eq!(response.into_string().unwrap(), "own challenge-required");
    let response = client.post("/forbidden").dispatch();
    assert_eq!(response.headers().get_one("x-captcha-required"), None);
    assert_eq!(response.into_string().unwrap(), "other");
}

#[test]
fn the_catchers_do_not_change_other_errors() {
    let provider = ScriptedProvider::default();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard(&provider)))
            .mount("/", routes![strict])
            .register("/", catchers()),
    );
    let request = client
        .post("/strict")
        .header(ContentType::Form)
        .body("age=3&%");
    let (status, body) = send(request);
    assert!(status == 422 || status == 403, "{status} {body}");
    let request = client
        .post("/strict")
        .header(ContentType::Form)
        .body("x".repeat(40_000));
    assert_eq!(send(request).0, 413);
}

#[test]
fn the_widgets_sources_are_added_to_the_applications_policy() {
    let widget = human_check_hcaptcha::widget("10000000-ffff-ffff-ffff-000000000001").unwrap();
    let guard = Guard::builder(ScriptedProvider::default())
        .with_widget(widget)
        .build(RoutePolicy::fail_closed("site"))
        .unwrap();
    let client = launch(
        plain()
            .attach(HumanFairing::new(guard))
            .mount("/", routes![page]),
    );
    let response = client.get("/page").dispatch();
    let policies: Vec<_> = response.headers().get("content-security-policy").collect();
    let [policy] = policies[..] else {
        panic!("{policies:?}")
    };
    assert!(
        policy.contains("script-src 'self' https://hcaptcha.com"),
        "{policy}"
    );
}

#[test]
fn a_large_json_body_is_taken_from_the_budget() {
    let limits = human_check_guard::BodyLimits::default()
        .with_max_body_bytes(1_000_000)
        .with_max_held_bytes(400_000);
    let guard = Guard::builder(ScriptedProvider::default())
        .with_body_limits(limits)
        .build(RoutePolicy::fail_closed("site"))
        .unwrap();
    let rocket = plain()
        .attach(HumanFairing::new(guard))
        .register("/", catchers())
        .mount("/", routes![json]);
    let client = launch(rocket);
    for (bytes, expected) in [(700_000, 503), (100_000, 200)] {
        let text = "x".repeat(bytes);
        let body = format!(r#"{{"text":"{text}","h-captcha-response":"good"}}"#);
        // The local client states no length by itself.
        let length = Header::new("content-length", body.len().to_string());
        let request = client
            .post("/json")
            .header(ContentType::JSON)
            .header(length);
        assert_eq!(send(request.body(body)).0, expected, "{bytes}");
    }
}

/// hyper keeps a `Content-Length` that comes before `Transfer-Encoding`, and reads chunks.
#[test]
fn the_length_of_a_chunked_body_is_not_believed() {
    let limits = human_check_guard::BodyLimits::default()
        .with_max_body_bytes(1_000_000)
        .with_max_held_bytes(400_000);
    let guard = Guard::builder(ScriptedProvider::default())
        .with_body_limits(limits)
        .build(RoutePolicy::fail_closed("site"))
        .unwrap();
    let rocket = plain()
        .attach(HumanFairing::new(guard))
        .register("/", catchers())
        .mount("/", routes![json]);
    let client = launch(rocket);
    for (chunked, expected) in [(false, 200), (true, 503)] {
        let mut request = client.post("/json").header(ContentType::JSON);
        request.add_header(Header::new("content-length", "40"));
        if chunked {
            request.add_header(Header::new("transfer-encoding", "chunked"));
        }
        let body = r#"{"text":"x","h-captcha-response":"good"}"#;
        assert_eq!(send(request.body(body)).0, expected, "{chunked}");
    }
}
