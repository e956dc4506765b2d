//! The log page, and the stream of new decisions.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::headers::Nonce;
use crate::log::Entry;
use crate::page::{Frame, PAGES, show};

#[derive(Debug, Template)]
#[template(path = "log.html")]
struct Shown {
    frame: Frame,
    entries: Vec<Entry>,
    last: u64,
}

/// `GET /log`
pub(crate) async fn page(State(app): State<App>, Extension(nonce): Extension<Nonce>) -> Response {
    let entries = app.log().latest();
    let shown = Shown {
        frame: Frame::new("Log", "/log", nonce),
        last: entries.first().map_or(0, |entry| entry.number),
        entries,
    };
    show(StatusCode::OK, &shown, &[])
}

/// The latest decision that the page shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    after: u64,
}

/// `GET /log/events`: decisions as server-sent events, one JSON object each.
pub(crate) async fn events(
    State(app): State<App>,
    Query(known): Query<Known>,
    headers: HeaderMap,
) -> Response {
    // A browser that reconnects states the last event it received.
    let last_id = headers.get("last-event-id");
    let last_id = last_id.and_then(|id| id.to_str().ok()?.parse().ok());
    let log = app.log();
    let permit = Arc::clone(&log.readers).try_acquire_owned();
    let (Ok(permit), Some((missed, news))) = (permit, log.after(last_id.unwrap_or(known.after)))
    else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    Sse::new(stream(missed, news, permit))
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Returns the missed decisions, then all new ones. The permit counts the reader until the stream
/// ends.
fn stream(
    missed: VecDeque<Entry>,
    news: Receiver<Entry>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(
        (missed, news, permit),
        |(mut missed, mut news, permit)| async {
            let entry = loop {
                if let Some(entry) = missed.pop_front() {
                    break entry;
                }
                match news.recv().await {
                    Ok(entry) => break entry,
                    // A slow reader missed some. The page shows them when it is reloaded.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            };
            let event = Event::default()
                .id(entry.number.to_string())
                .json_data(&entry)
                .unwrap_or_default();
            Some((Ok(event), (missed, news, permit)))
        },
    )
}
