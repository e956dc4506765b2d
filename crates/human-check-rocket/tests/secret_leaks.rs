//! Rocket's log does not contain a token, not even when it logs the error of a guard.
//!
//! The test is alone in its process, because a process has one log.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::process::Command;

use human_check_rocket::guard::{Guard, RoutePolicy};
use human_check_rocket::{Human, HumanFairing, HumanForm, HumanJson};
use human_check_testkit::Scripted;
use rocket::http::{ContentType, Status};
use rocket::local::blocking::Client;
use rocket::serde::Deserialize;
use rocket::{FromForm, post, routes};

const CANARY: &str = "0.canary-token-canary";

#[derive(Deserialize, FromForm)]
#[serde(crate = "rocket::serde")]
struct Age {
    age: u8,
}

#[post("/json", data = "<body>")]
fn json(body: HumanJson<Age>) -> String {
    body.into_inner().age.to_string()
}

#[post("/form", data = "<body>")]
fn form(body: HumanForm<Age>) -> String {
    body.into_inner().age.to_string()
}

#[post("/human")]
fn human(_human: &Human) {}

/// Sends invalid bodies with a valid token. The test runs it in a child process and reads the log.
fn send_invalid_bodies() {
    let guard = Guard::new(Scripted::human(), RoutePolicy::fail_closed("site")).unwrap();
    let figment = rocket::Config::figment().merge(("log_level", "normal"));
    let rocket = rocket::custom(figment)
        .attach(HumanFairing::new(guard))
        .mount("/", routes![json, form, human]);
    let client = Client::untracked(rocket).unwrap();
    for body in [
        r#"{"age":"x","scripted-response":"@"}"#,
        r#"{"age":1,"scripted-response":"@""#,
        r#"{"scripted-response":"@","age":1} x"#,
    ] {
        let body = body.replace('@', CANARY);
        let response = client
            .post("/json")
            .header(ContentType::JSON)
            .body(body)
            .dispatch();
        assert!(
            response.status() == Status::UnprocessableEntity
                || response.status() == Status::BadRequest
        );
    }
    let body = format!("age=x&scripted-response={CANARY}");
    let response = client
        .post("/form")
        .header(ContentType::Form)
        .body(body)
        .dispatch();
    assert_eq!(response.status(), Status::UnprocessableEntity);
}

#[test]
fn a_bad_body_does_not_put_its_token_into_the_log() {
    if std::env::var_os("SEND_INVALID_BODIES").is_some() {
        return send_invalid_bodies();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args([
            "--nocapture",
            "a_bad_body_does_not_put_its_token_into_the_log",
        ])
        .env("SEND_INVALID_BODIES", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success(), "{log}");
    assert!(log.contains("Data guard"), "{log}");
    assert!(!log.contains("canary-token"), "{log}");
}
