use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};
use human_check_guard::{GuardResponse, Rejection};

/// Why a handler did not run.
///
/// The extractors return it as an [`actix_web::Error`], which responds by itself. Take a
/// `Result<Human, actix_web::Error>` in a handler to read it:
///
/// ```
/// use human_check_actix_web::{Human, HumanError};
///
/// async fn comment(human: Result<Human, actix_web::Error>) -> String {
///     match human {
///         Ok(_) => "posted".to_owned(),
///         Err(error) => match error.as_error::<HumanError>() {
///             Some(HumanError::Rejected(rejection)) => rejection.to_string(),
///             _ => "not posted".to_owned(),
///         },
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HumanError {
    /// The guard refused the request.
    Rejected(Rejection),
    /// The route has no guard. The application must register one, so the status is 500.
    Unconfigured,
}

impl fmt::Display for HumanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(refused) => refused.fmt(f),
            Self::Unconfigured => f.write_str("no human-check guard is configured for this route"),
        }
    }
}

impl std::error::Error for HumanError {}

impl ResponseError for HumanError {
    fn status_code(&self) -> StatusCode {
        status(match self {
            Self::Rejected(refused) => refused.response().status,
            Self::Unconfigured => 500,
        })
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Rejected(refused) => send(refused.response()),
            Self::Unconfigured => HttpResponse::build(self.status_code()).finish(),
        }
    }
}

/// Converts a response of the guard.
pub(crate) fn send(response: &GuardResponse) -> HttpResponse {
    let mut builder = HttpResponse::build(status(response.status));
    for (name, value) in &response.headers {
        let value = match value {
            Cow::Borrowed(value) => Ok(HeaderValue::from_static(value)),
            Cow::Owned(value) => HeaderValue::from_str(value),
        };
        if let Ok(value) = value {
            builder.insert_header((HeaderName::from_static(name), value));
        }
    }
    builder.body(response.body.clone())
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

type Handler = dyn Fn(Rejection, &HttpRequest) -> Error + Send + Sync;

/// Converts refusals of extractors into errors of the application.
///
/// Register it with `app_data` on the app, a scope or a resource. The nearest one is used. Without
/// one the client gets the guard's own response. For refusals of the middleware see
/// [`HumanMiddleware::with_error_handler`](crate::HumanMiddleware::with_error_handler).
///
/// Errors of the body itself go to the error handlers of `FormConfig`, `JsonConfig`, `QueryConfig`
/// and `MultipartFormConfig`, as without a guard.
///
/// ```
/// use actix_web::{App, HttpRequest, error::ErrorForbidden};
/// use human_check_actix_web::{ErrorHandler, Rejection};
///
/// let handler = ErrorHandler::new(|rejection: Rejection, _request: &HttpRequest| {
///     ErrorForbidden(rejection.reason().as_str())
/// });
/// let app = App::new().app_data(handler);
/// ```
#[derive(Clone)]
pub struct ErrorHandler(Arc<Handler>);

impl ErrorHandler {
    /// Creates an error handler from a function.
    pub fn new(handler: impl Fn(Rejection, &HttpRequest) -> Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(handler))
    }
}

impl fmt::Debug for ErrorHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorHandler(..)")
    }
}

/// Returns the error for a refusal: of the application's error handler, or else [`HumanError`].
pub(crate) fn refuse(request: &HttpRequest, refused: Rejection) -> Error {
    match request.app_data::<ErrorHandler>() {
        Some(ErrorHandler(handler)) => handler(refused, request),
        None => HumanError::Rejected(refused).into(),
    }
}
