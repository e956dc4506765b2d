use actix_web::{HttpRequest, Route, web};
use human_check_guard::OptionsEndpoint;

use crate::Head;
use crate::error::send;

/// Creates the route from which pages fetch the account that their visitor meets. It handles GET, and
/// responds as [`OptionsEndpoint`] describes.
///
/// ```
/// use actix_web::App;
/// use human_check_actix_web::{Guard, OptionsEndpoint, RoutePolicy, options_route};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// // Outside of the closure of `HttpServer::new`, which runs once for each worker.
/// let options = OptionsEndpoint::new([signup]);
/// let app = App::new().route("/human-check/options", options_route(options.clone()));
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn options_route(endpoint: OptionsEndpoint) -> Route {
    web::get().to(move |request: HttpRequest| {
        let pending = endpoint.prepare(&Head(&request));
        async move { send(&pending.respond().await) }
    })
}
