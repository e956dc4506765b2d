use axum::Router;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use human_check_guard::{OptionsEndpoint, page_script_response};

use crate::Head;
use crate::error::send;

/// Creates the routes that pages with the page script need, to be nested at `/human-check`.
///
/// | route | response |
/// | --- | --- |
/// | `GET /options` | the account that the visitor meets, see [`OptionsEndpoint`] |
/// | `GET /human-check.js`, and a name with a digest | the page script, see [`page_script_response`] |
///
/// ```
/// use axum::Router;
/// use human_check_axum::{Guard, OptionsEndpoint, RoutePolicy, page_routes};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let endpoint = OptionsEndpoint::new([signup]);
/// let app: Router = Router::new().nest("/human-check", page_routes(endpoint));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn page_routes<S: Clone + Send + Sync + 'static>(endpoint: OptionsEndpoint) -> Router<S> {
    let options = get(async move |request: Request| {
        let (parts, _) = request.into_parts();
        let pending = endpoint.prepare(&Head(&parts));
        send(pending.respond().await)
    });
    Router::new()
        .route("/options", options)
        .route("/{file_name}", get(script))
}

async fn script(Path(file_name): Path<String>, request: Request) -> impl IntoResponse {
    let (parts, _) = request.into_parts();
    match page_script_response(&Head(&parts), &file_name) {
        Some(response) => send(response),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
