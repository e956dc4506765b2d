use std::convert::Infallible;
use std::fmt;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_guard::{GuardResponse, Rejection};

/// Why a handler did not run: the error of the inner extractor, or the refusal of the guard.
///
/// It implements `IntoResponse`, so a handler that does not take a `Result` needs no code for it.
/// `E` is the rejection of the inner extractor, for example of [`Form`](axum::Form).
///
/// ```
/// use axum::extract::rejection::FormRejection;
/// use human_check_axum::{HumanError, HumanForm};
///
/// # #[derive(serde::Deserialize)] struct Signup { email: String }
/// async fn signup(form: Result<HumanForm<Signup>, HumanError<FormRejection>>) -> String {
///     match form {
///         Ok(form) => format!("welcome, {}", form.email),
///         Err(HumanError::Inner(_)) => "please check what you typed".to_owned(),
///         Err(HumanError::Rejected(rejection)) => rejection.to_string(),
///         Err(other) => other.to_string(), // such as a GET, which has no body
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HumanError<E = Infallible> {
    /// The inner extractor rejected the request, for example because the body is not a form. The
    /// token is unused.
    Inner(E),
    /// The guard refused the request.
    Rejected(Rejection),
    /// The method is GET or HEAD, whose requests have no body with a token. Status 405.
    MethodNotAllowed,
}

impl<E> From<Rejection> for HumanError<E> {
    fn from(refused: Rejection) -> Self {
        Self::Rejected(refused)
    }
}

impl<E: IntoResponse> IntoResponse for HumanError<E> {
    fn into_response(self) -> Response {
        match self {
            Self::Inner(inner) => inner.into_response(),
            Self::Rejected(refused) => respond(refused),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                [(ALLOW, "POST, PUT, PATCH, DELETE")],
            )
                .into_response(),
        }
    }
}

/// Converts a refusal into its response.
///
/// Use it in an error handler that responds itself to some refusals only:
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::{IntoResponse, Response};
/// use human_check_axum::{Rejection, respond};
///
/// fn on_refusal(rejection: Rejection) -> Response {
///     match rejection.reason().status() {
///         503 => (StatusCode::SERVICE_UNAVAILABLE, "please come back later").into_response(),
///         _ => respond(rejection),
///     }
/// }
/// ```
pub fn respond(refused: Rejection) -> Response {
    send(refused.into_response())
}

/// Converts a response of the guard.
pub(crate) fn send(guard_response: GuardResponse) -> Response {
    let mut response = Response::new(Body::from(guard_response.body));
    *response.status_mut() =
        StatusCode::from_u16(guard_response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in guard_response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

impl<E: fmt::Display> fmt::Display for HumanError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(inner) => inner.fmt(f),
            Self::Rejected(refused) => refused.fmt(f),
            Self::MethodNotAllowed => f.write_str("this method has no body"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for HumanError<E> {}
