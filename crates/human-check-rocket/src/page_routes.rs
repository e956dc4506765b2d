use human_check_guard::{OptionsEndpoint, page_script_response};
use rocket::http::{Method, Status};
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::Head;
use crate::catchers::send;

/// Creates the routes that pages with the page script need, to be mounted at `/human-check`.
///
/// | route | response |
/// | --- | --- |
/// | `GET /options` | the account that the visitor meets, see [`OptionsEndpoint`] |
/// | `GET /human-check.js`, and a name with a digest | the page script, see [`page_script_response`] |
///
/// ```
/// use human_check_rocket::{Guard, OptionsEndpoint, RoutePolicy, page_routes};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let endpoint = OptionsEndpoint::new([signup]);
/// let rocket = rocket::build().mount("/human-check", page_routes(endpoint));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn page_routes(endpoint: OptionsEndpoint) -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/options", Options(endpoint)),
        Route::ranked(1, Method::Get, "/<file_name>", Script),
    ]
}

#[derive(Clone)]
struct Options(OptionsEndpoint);

#[rocket::async_trait]
impl Handler for Options {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let pending = self.0.prepare(&Head(request));
        Outcome::Success(send(pending.respond().await))
    }
}

#[derive(Clone)]
struct Script;

#[rocket::async_trait]
impl Handler for Script {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let file_name = request.param::<&str>(0).and_then(Result::ok);
        match page_script_response(&Head(request), file_name.unwrap_or_default()) {
            Some(response) => Outcome::Success(send(response)),
            None => Outcome::Forward((data, Status::NotFound)),
        }
    }
}
