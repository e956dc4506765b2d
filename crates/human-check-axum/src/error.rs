use std::convert::Infallible;
use std::fmt;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_guard::{GuardResponse, Rejection};

/// Why a handler did not run: its own extractor's reason, or the guard's.
#[derive(Debug)]
pub enum HumanError<E = Infallible> {
    /// The body is not what the handler takes. The token was not spent.
    Inner(E),
    /// The guard refused.
    Rejected(Rejection),
    /// GET and HEAD have no body to find a token in. 405.
    NoBody,
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
            Self::NoBody => (
                StatusCode::METHOD_NOT_ALLOWED,
                [(ALLOW, "POST, PUT, PATCH, DELETE")],
            )
                .into_response(),
        }
    }
}

/// The response that a refusal is answered with.
pub fn respond(refused: Rejection) -> Response {
    send(refused.into_response())
}

pub(crate) fn send(answer: GuardResponse) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
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
            Self::NoBody => f.write_str("this method has no body"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for HumanError<E> {}
