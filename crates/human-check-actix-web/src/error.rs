use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};
use human_check_guard::{GuardResponse, Rejection};

/// Why a handler did not run.
#[derive(Debug)]
pub enum HumanError {
    /// The guard refused.
    Rejected(Rejection),
    /// No guard was registered for this route. Our mistake, so 500.
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

pub(crate) fn send(answer: &GuardResponse) -> HttpResponse {
    let mut response = HttpResponse::build(status(answer.status));
    for (name, value) in &answer.headers {
        let value = match value {
            Cow::Borrowed(value) => Ok(HeaderValue::from_static(value)),
            Cow::Owned(value) => HeaderValue::from_str(value),
        };
        if let Ok(value) = value {
            response.insert_header((HeaderName::from_static(name), value));
        }
    }
    response.body(answer.body.clone())
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

type Handler = dyn Fn(Rejection, &HttpRequest) -> Error + Send + Sync;

/// Turns refusals into errors of the application. Register it with `app_data`; the nearest one is used.
///
/// Errors of the body itself go to the error handlers of `FormConfig`, `JsonConfig`,
/// `QueryConfig` and `MultipartFormConfig`, as without a guard.
#[derive(Clone)]
pub struct ErrorHandler(Arc<Handler>);

impl ErrorHandler {
    /// Turns each refusal into an error by `handler`.
    pub fn new(handler: impl Fn(Rejection, &HttpRequest) -> Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(handler))
    }
}

impl fmt::Debug for ErrorHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorHandler(..)")
    }
}

/// The error for a refusal, by the application's handler if it has one.
pub(crate) fn refuse(request: &HttpRequest, refused: Rejection) -> Error {
    match request.app_data::<ErrorHandler>() {
        Some(ErrorHandler(handler)) => handler(refused, request),
        None => HumanError::Rejected(refused).into(),
    }
}
