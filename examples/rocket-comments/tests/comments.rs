//! Tests that a comment needs a token.

use example_pages::Guards;
use human_check_rocket::guard::{Guard, RoutePolicy};
use human_check_testkit::Scripted;
use rocket::http::{ContentType, Header, Status};
use rocket::local::blocking::Client;

#[test]
fn only_a_human_comments() {
    let policy = RoutePolicy::fail_closed("example");
    let guard = Guard::new(Scripted::human(), policy).expect("the policy fits");
    let guards = Guards::new(guard.clone(), guard);
    let rocket = example_rocket_comments::rocket(guards, example_rocket_comments::config());
    let client = Client::untracked(rocket).expect("it ignites");
    let comment = || {
        let request = client.post("/comments").header(ContentType::JSON);
        request.body(r#"{"text":"hello"}"#)
    };
    assert_eq!(comment().dispatch().status(), Status::Forbidden);
    let token = Header::new("X-Captcha-Token", "token");
    let response = comment().header(token).dispatch();
    assert_eq!(response.status(), Status::Ok);
    let body = response.into_string().unwrap_or_default();
    assert!(body.contains("hello"), "{body}");
}
