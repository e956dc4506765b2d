//! Tests that a login needs a challenge after three failures, by address and by account.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use example_pages::Guards;
use http_body_util::BodyExt;
use human_check_axum::guard::{Guard, RoutePolicy};
use human_check_testkit::Scripted;
use tower::ServiceExt;

fn app() -> Router {
    let policy = RoutePolicy::fail_closed("example");
    let guard = Guard::new(Scripted::human(), policy).expect("the policy fits");
    let guards = Guards::new(guard.clone(), guard);
    example_axum_login::app(guards).expect("the policy fits")
}

/// Sends a login from the client address 203.0.113.`from`.
async fn login(app: &Router, from: u8, body: &'static str) -> Response {
    let peer = SocketAddr::from(([203, 0, 113, from], 1));
    let request = Request::post("/login")
        .extension(ConnectInfo(peer))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .body(Body::from(body))
        .expect("it is a request");
    let response = app.clone().oneshot(request).await;
    response.unwrap_or_else(|never| match never {})
}

const WRONG: &str = "user=ada&password=x";
const RIGHT: &str = "user=ada&password=lovelace";
const RIGHT_WITH_TOKEN: &str = "user=ada&password=lovelace&scripted-response=token";

#[tokio::test]
async fn an_address_is_challenged_after_three_failures() {
    let app = app();
    for user in [
        "user=a&password=x",
        "user=b&password=x",
        "user=c&password=x",
    ] {
        assert_eq!(
            login(&app, 7, user).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let challenged = login(&app, 7, RIGHT).await;
    assert_eq!(challenged.status(), StatusCode::FORBIDDEN);
    let page = challenged
        .into_body()
        .collect()
        .await
        .expect("it is whole")
        .to_bytes();
    let page = String::from_utf8_lossy(&page);
    assert!(
        page.contains("action=\"/login\""),
        "the form is shown again"
    );
    // Another address needs no challenge, and a solved challenge passes.
    assert_eq!(login(&app, 8, RIGHT).await.status(), StatusCode::OK);
    assert_eq!(
        login(&app, 7, RIGHT_WITH_TOKEN).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_account_is_challenged_from_every_address() {
    let app = app();
    for from in [1, 2, 3] {
        assert_eq!(
            login(&app, from, WRONG).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(login(&app, 4, RIGHT).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        login(&app, 4, RIGHT_WITH_TOKEN).await.status(),
        StatusCode::OK
    );
    // A successful login resets the count of the account.
    assert_eq!(login(&app, 5, RIGHT).await.status(), StatusCode::OK);
}
