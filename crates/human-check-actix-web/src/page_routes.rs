use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse, web};
use human_check_guard::{OptionsEndpoint, page_script_response};

use crate::Head;
use crate::error::send;

/// Creates the routes that pages with the page script need, for a scope at `/human-check`.
///
/// | route | response |
/// | --- | --- |
/// | `GET /options` | the account that the visitor meets, see [`OptionsEndpoint`] |
/// | `GET /human-check.js`, and a name with a digest | the page script, see [`page_script_response`] |
///
/// ```
/// use actix_web::{App, web};
/// use human_check_actix_web::{Guard, OptionsEndpoint, RoutePolicy, page_routes};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let signup = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// // Outside of the closure of `HttpServer::new`, which runs once for each worker.
/// let endpoint = OptionsEndpoint::new([signup]);
/// let pages = web::scope("/human-check").configure(page_routes(endpoint.clone()));
/// let app = App::new().service(pages);
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn page_routes(endpoint: OptionsEndpoint) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let options = web::get().to(move |request: HttpRequest| {
            let pending = endpoint.prepare(&Head(&request));
            async move { send(&pending.respond().await) }
        });
        config
            .route("/options", options)
            .route("/{file_name}", web::get().to(script))
            .route("/{file_name}", web::head().to(script));
    }
}

async fn script(request: HttpRequest, file_name: web::Path<String>) -> HttpResponse {
    match page_script_response(&Head(&request), &file_name) {
        Some(response) => send(&response),
        None => HttpResponse::NotFound().finish(),
    }
}
