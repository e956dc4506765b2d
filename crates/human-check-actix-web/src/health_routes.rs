use actix_web::web;
use actix_web::web::ServiceConfig;
use human_check_guard::HealthEndpoint;

use crate::error::send;

/// Creates the routes for load balancers and orchestrators.
///
/// | route | response |
/// | --- | --- |
/// | `GET /healthz` | 200: the process replies |
/// | `GET /readyz` | 200 or 503: whether to send requests here, see [`HealthEndpoint`] |
///
/// Create the endpoint outside of the closure that each worker calls, so that they share its results.
///
/// ```
/// use actix_web::App;
/// use human_check_actix_web::{HealthEndpoint, health_routes};
///
/// let health = HealthEndpoint::new();
/// let app = App::new().configure(health_routes(health));
/// ```
pub fn health_routes(endpoint: HealthEndpoint) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let ready = endpoint.clone();
        let live = move || {
            let endpoint = endpoint.clone();
            async move { send(&endpoint.live()) }
        };
        let ready = move || {
            let endpoint = ready.clone();
            async move { send(&endpoint.ready().await) }
        };
        config
            .route("/healthz", web::get().to(live.clone()))
            .route("/healthz", web::head().to(live))
            .route("/readyz", web::get().to(ready.clone()))
            .route("/readyz", web::head().to(ready));
    }
}
