use axum::Router;
use axum::routing::get;
use human_check_guard::HealthEndpoint;

use crate::error::send;

/// Creates the routes for load balancers and orchestrators.
///
/// | route | response |
/// | --- | --- |
/// | `GET /healthz` | 200: the process replies |
/// | `GET /readyz` | 200 or 503: whether to send requests here, see [`HealthEndpoint`] |
///
/// ```
/// use axum::Router;
/// use human_check_axum::{HealthEndpoint, health_routes};
///
/// let app: Router = Router::new().merge(health_routes(HealthEndpoint::new()));
/// ```
pub fn health_routes<S: Clone + Send + Sync + 'static>(endpoint: HealthEndpoint) -> Router<S> {
    let ready = endpoint.clone();
    Router::new()
        .route("/healthz", get(async move || send(endpoint.live())))
        .route("/readyz", get(async move || send(ready.ready().await)))
}
