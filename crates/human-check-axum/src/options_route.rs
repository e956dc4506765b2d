use axum::extract::Request;
use axum::routing::{MethodRouter, get};
use human_check_guard::OptionsEndpoint;

use crate::Head;
use crate::error::send;

/// Creates the route from which pages fetch the account that their visitor meets. It handles GET, and
/// responds as [`OptionsEndpoint`] describes.
///
/// ```
/// use axum::Router;
/// use human_check_axum::{Guard, OptionsEndpoint, RoutePolicy, options_route};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let endpoint = options_route(OptionsEndpoint::new([signup]));
/// let app: Router = Router::new().route("/human-check/options", endpoint);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn options_route<S: Clone + Send + Sync + 'static>(
    endpoint: OptionsEndpoint,
) -> MethodRouter<S> {
    get(async move |request: Request| {
        let (parts, _) = request.into_parts();
        let pending = endpoint.prepare(&Head(&parts));
        send(pending.respond().await)
    })
}
