//! The parts that all pages of the demo share: their frame, and how a template becomes a response.

use askama::Template;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use human_check_core::Widget;
use human_check_guard::CspSources;

use crate::headers::Nonce;

/// The values of a page that `base.html` needs.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: &'static str,
    /// The path of the page, to mark it in the navigation.
    pub(crate) here: &'static str,
    pub(crate) nonce: Nonce,
}

/// Path and name of each page, in the order of the navigation.
pub(crate) const PAGES: [(&str, &str); 7] = [
    ("/", "Sign up"),
    ("/side-by-side", "Compare two providers"),
    ("/simulate", "Simulate"),
    ("/outage", "Outage"),
    ("/experiment", "Experiment"),
    ("/log", "Log"),
    ("/metrics", "Metrics"),
];

impl Frame {
    pub(crate) fn new(title: &'static str, here: &'static str, nonce: Nonce) -> Self {
        Self { title, here, nonce }
    }
}

/// Creates a response from a template. Its policy allows what the widgets need.
pub(crate) fn show(status: StatusCode, template: &impl Template, widgets: &[Widget]) -> Response {
    show_with(status, template, CspSources::of(widgets))
}

/// Creates a response from a template. Its policy allows these sources.
pub(crate) fn show_with(
    status: StatusCode,
    template: &impl Template,
    sources: CspSources,
) -> Response {
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
    response.extensions_mut().insert(sources);
    response
}

/// The page of an error.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    frame: Frame,
    message: String,
}

impl ErrorPage {
    /// Creates the response. The page shows `message`.
    pub(crate) fn page(status: StatusCode, nonce: Nonce, message: impl Into<String>) -> Response {
        let title = match status {
            StatusCode::NOT_FOUND => "Page not found",
            _ => "Error",
        };
        let page = Self {
            frame: Frame::new(title, "", nonce),
            message: message.into(),
        };
        show(status, &page, &[])
    }
}
