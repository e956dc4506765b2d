use human_check_guard::HealthEndpoint;
use rocket::http::Method;
use rocket::route::{Handler, Outcome};
use rocket::{Data, Request, Route};

use crate::catchers::send;

/// Creates the routes for load balancers and orchestrators.
///
/// | route | response |
/// | --- | --- |
/// | `GET /healthz` | 200: the process replies |
/// | `GET /readyz` | 200 or 503: whether to send requests here, see [`HealthEndpoint`] |
///
/// ```
/// use human_check_rocket::{HealthEndpoint, health_routes};
///
/// let rocket = rocket::build().mount("/", health_routes(HealthEndpoint::new()));
/// ```
pub fn health_routes(endpoint: HealthEndpoint) -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/healthz", Live(endpoint.clone())),
        Route::new(Method::Get, "/readyz", Ready(endpoint)),
    ]
}

#[derive(Clone)]
struct Live(HealthEndpoint);

#[rocket::async_trait]
impl Handler for Live {
    async fn handle<'r>(&self, _: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        Outcome::Success(send(self.0.live()))
    }
}

#[derive(Clone)]
struct Ready(HealthEndpoint);

#[rocket::async_trait]
impl Handler for Ready {
    async fn handle<'r>(&self, _: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        Outcome::Success(send(self.0.ready().await))
    }
}
