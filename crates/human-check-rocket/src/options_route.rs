use human_check_guard::OptionsEndpoint;
use rocket::http::Method;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::Head;
use crate::catchers::send;

/// Creates the route from which pages fetch the account that their visitor meets. It handles GET, and
/// responds as [`OptionsEndpoint`] describes.
///
/// ```
/// // It is the route at the path where it is mounted.
/// use human_check_rocket::{Guard, OptionsEndpoint, RoutePolicy, options_route};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let options = options_route(OptionsEndpoint::new([signup]));
/// let rocket = rocket::build().mount("/human-check/options", options);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn options_route(endpoint: OptionsEndpoint) -> Vec<Route> {
    vec![Route::new(Method::Get, "/", Endpoint(endpoint))]
}

#[derive(Clone)]
struct Endpoint(OptionsEndpoint);

#[rocket::async_trait]
impl Handler for Endpoint {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let pending = self.0.prepare(&Head(request));
        Outcome::Success(send(pending.respond().await))
    }
}
