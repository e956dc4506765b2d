//! What all pages of the demo have in common: their frame, and how they become a response.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_core::Widget;
use human_check_guard::CspSources;

use crate::headers::Nonce;

/// The frame of a page, for its template.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: &'static str,
    /// The address of the page in the navigation.
    pub(crate) here: &'static str,
    pub(crate) nonce: Nonce,
}

/// The pages, in the order of the navigation.
pub(crate) const PAGES: [(&str, &str); 5] = [
    ("/", "Sign up"),
    ("/side-by-side", "Side by side"),
    ("/simulate", "Pretend"),
    ("/log", "Log"),
    ("/metrics", "Metrics"),
];

impl Frame {
    pub(crate) fn new(title: &'static str, here: &'static str, nonce: Nonce) -> Self {
        Self { title, here, nonce }
    }
}

/// A template as a response. Whatever its widgets need goes into the policy that it is sent with.
pub(crate) fn show(status: StatusCode, template: &impl Template, widgets: &[Widget]) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(CspSources::of(widgets));
    response
}

/// A page for what is not there, or went wrong.
#[derive(Debug, Template)]
#[template(path = "trouble.html")]
pub(crate) struct ErrorPage {
    frame: Frame,
    message: String,
}

impl ErrorPage {
    /// `message` is shown.
    pub(crate) fn page(status: StatusCode, nonce: Nonce, message: impl Into<String>) -> Response {
        let title = match status {
            StatusCode::NOT_FOUND => "Nothing here",
            _ => "That did not work",
        };
        let trouble = Self {
            frame: Frame::new(title, "", nonce),
            message: message.into(),
        };
        show(status, &trouble, &[])
    }
}
