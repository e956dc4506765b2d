use std::convert::Infallible;
use std::fmt;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_guard::{Answer, Refused};

/// Why a handler did not run: its own extractor's reason, or the guard's.
#[derive(Debug)]
pub enum Rejection<E = Infallible> {
    /// The body is not what the handler takes. The token was not spent.
    Inner(E),
    /// The guard refused.
    Refused(Refused),
    /// GET and HEAD have no body to find a token in. 405.
    NoBody,
}

impl<E> From<Refused> for Rejection<E> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<E: IntoResponse> IntoResponse for Rejection<E> {
    fn into_response(self) -> Response {
        match self {
            Self::Inner(inner) => inner.into_response(),
            Self::Refused(refused) => respond(refused),
            Self::NoBody => (
                StatusCode::METHOD_NOT_ALLOWED,
                [(ALLOW, "POST, PUT, PATCH, DELETE")],
            )
                .into_response(),
        }
    }
}

/// The response that a refusal is answered with.
pub fn respond(refused: Refused) -> Response {
    send(refused.into_answer())
}

pub(crate) fn send(answer: Answer) -> Response {
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

impl<E: fmt::Display> fmt::Display for Rejection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(inner) => inner.fmt(f),
            Self::Refused(refused) => refused.fmt(f),
            Self::NoBody => f.write_str("this method has no body"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Rejection<E> {}
