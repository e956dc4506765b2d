//! Tests that a sign-up needs a token.

use actix_web::http::StatusCode;
use actix_web::{App, test, web};
use example_actix_signup::routes;
use example_pages::Guards;
use human_check_actix_web::guard::{Guard, RoutePolicy};
use human_check_testkit::Scripted;

fn guards() -> Guards {
    let policy = RoutePolicy::fail_closed("example");
    let guard = Guard::new(Scripted::human(), policy).expect("the policy fits");
    Guards::new(guard.clone(), guard)
}

#[actix_web::test]
async fn only_a_human_signs_up() {
    let guards = guards();
    let app = App::new()
        .app_data(web::Data::new(guards.clone()))
        .configure(routes(guards));
    let app = test::init_service(app).await;
    let sign_up = |form: &[(&str, &str)]| {
        let request = test::TestRequest::post().uri("/signup").set_form(form);
        test::call_service(&app, request.to_request())
    };
    let email = ("email", "ada@example.com");
    let response = sign_up(&[email, ("scripted-response", "token")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(sign_up(&[email]).await.status(), StatusCode::FORBIDDEN);
}
