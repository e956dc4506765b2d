use human_check_guard::GuardResponse;
use rocket::Request;
use rocket::catcher::{BoxFuture, Catcher};
use rocket::http::{ContentType, Status};
use rocket::response::Response;

use crate::error;
use crate::local::Local;

/// Catchers that answer refusals with a problem in JSON, or a page for browsers.
///
/// One for each status that a guard can refuse with. Errors that are not a guard's get a plain
/// answer of that status. Register them where your guarded routes are; where you have a catcher of
/// your own, it can ask [`refusal`] what happened.
pub fn catchers() -> Vec<Catcher> {
    [400, 403, 408, 413, 500, 503]
        .map(|code| Catcher::new(code, answer))
        .into()
}

/// The refusal that this request ended in, for catchers of your own.
pub fn refusal(request: &Request<'_>) -> Option<human_check_guard::Rejection> {
    Local::of(request).refused()
}

fn answer<'r>(status: Status, request: &'r Request<'_>) -> BoxFuture<'r> {
    let response = match refusal(request).filter(|refused| error::status(refused) == status) {
        Some(refused) => respond(refused),
        None => plain(status),
    };
    Box::pin(async move { Ok(response) })
}

fn respond(refused: human_check_guard::Rejection) -> Response<'static> {
    send(refused.into_response())
}

pub(crate) fn send(answer: GuardResponse) -> Response<'static> {
    let mut response = Response::new();
    response.set_status(Status::from_code(answer.status).unwrap_or(Status::InternalServerError));
    for (name, value) in answer.headers {
        response.set_raw_header(name, value);
    }
    response.set_sized_body(answer.body.len(), std::io::Cursor::new(answer.body));
    response
}

fn plain(status: Status) -> Response<'static> {
    let text = format!("{status}\n");
    let mut response = Response::new();
    response.set_status(status);
    response.set_header(ContentType::Plain);
    response.set_sized_body(text.len(), std::io::Cursor::new(text));
    response
}
