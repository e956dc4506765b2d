use human_check_guard::GuardResponse;
use rocket::Request;
use rocket::catcher::{BoxFuture, Catcher};
use rocket::http::{ContentType, Status};
use rocket::response::Response;

use crate::error;
use crate::local::Local;

/// Creates the catchers that send the response of a refusal: a problem in JSON, or a page for
/// browsers.
///
/// There is one for each status that a guard can refuse with: 400, 403, 408, 409, 413, 500 and 503. For
/// an error of one of these statuses that is not a refusal, they send the status as plain text.
/// Register them at the base of the guarded routes. A catcher of the application can call
/// [`refusal`] instead.
///
/// ```
/// use human_check_rocket::{Guard, HumanFairing, RoutePolicy, catchers};
///
/// # let turnstile = human_check_testkit::Scripted::human();
/// let guard = Guard::new(turnstile, RoutePolicy::fail_closed("signup"))?;
/// let rocket = rocket::build()
///     .attach(HumanFairing::new(guard))
///     .register("/", catchers());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
pub fn catchers() -> Vec<Catcher> {
    [400, 403, 408, 409, 413, 500, 503]
        .map(|code| Catcher::new(code, catch))
        .into()
}

/// Returns the refusal that this request ended with, for a catcher of the application. `None` if no
/// guard refused the request.
///
/// ```
/// use human_check_rocket::refusal;
/// use rocket::{Request, catch};
///
/// #[catch(403)]
/// fn forbidden(request: &Request<'_>) -> String {
///     match refusal(request) {
///         Some(rejection) => format!("refused: {}", rejection.reason().as_str()),
///         None => "forbidden".to_owned(),
///     }
/// }
/// # fn main() {}
/// ```
pub fn refusal(request: &Request<'_>) -> Option<human_check_guard::Rejection> {
    Local::of(request).refusal()
}

fn catch<'r>(status: Status, request: &'r Request<'_>) -> BoxFuture<'r> {
    let response = match refusal(request).filter(|refused| error::status(refused) == status) {
        Some(refused) => respond(refused),
        None => plain(status),
    };
    Box::pin(async move { Ok(response) })
}

fn respond(refused: human_check_guard::Rejection) -> Response<'static> {
    send(refused.into_response())
}

/// Converts a response of the guard.
pub(crate) fn send(guard_response: GuardResponse) -> Response<'static> {
    let status = Status::from_code(guard_response.status);
    let mut response = Response::new();
    response.set_status(status.unwrap_or(Status::InternalServerError));
    for (name, value) in guard_response.headers {
        response.set_raw_header(name, value);
    }
    let body = guard_response.body;
    response.set_sized_body(body.len(), std::io::Cursor::new(body));
    response
}

/// Returns the response to an error that is not a refusal.
fn plain(status: Status) -> Response<'static> {
    let text = format!("{status}\n");
    let mut response = Response::new();
    response.set_status(status);
    response.set_header(ContentType::Plain);
    response.set_sized_body(text.len(), std::io::Cursor::new(text));
    response
}
