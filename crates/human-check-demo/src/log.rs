//! The latest decisions: kept, shown, and sent on as they are made.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_util::stream::unfold;
use human_check_guard::{DecisionEvent, Observer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::headers::Nonce;
use crate::page::{Frame, PAGES, show};
use crate::site::App;

/// How many decisions are kept.
const KEPT: usize = 200;
/// How far a reader may fall behind before it misses some.
const BEHIND: usize = 64;
/// How many may follow the log at once.
const READERS: usize = 32;

/// One decision, as an operator would find it in a log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Counts up from 1.
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) route: String,
    pub(crate) decision: &'static str,
    pub(crate) provider: String,
    pub(crate) reason: &'static str,
    pub(crate) elapsed: String,
    /// How it ended, for a colour: `good`, `bad` or `unsure`.
    pub(crate) tone: &'static str,
}

fn tone(decision: &str) -> &'static str {
    match decision {
        "human" => "good",
        "misconfigured" | "verification-unavailable" => "unsure",
        decision if decision.starts_with("let-in") || decision.starts_with("not-") => "unsure",
        _ => "bad",
    }
}

/// Keeps the latest decisions. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    kept: Arc<Mutex<Kept>>,
    readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    entries: VecDeque<Entry>,
    last: u64,
    /// `None` once the demo ends, which ends every stream.
    news: Option<Sender<Entry>>,
}

tokio::task_local! {
    /// The last decision about the request of this task.
    static WITNESSED: RefCell<Option<Entry>>;
}

/// Runs a request of which [`witnessed`] then tells. Guards speak on the request's own task.
pub(crate) async fn witness<F: Future>(request: F) -> F::Output {
    WITNESSED.scope(RefCell::default(), request).await
}

/// What was decided about this request, if anything was.
pub(crate) fn witnessed() -> Option<Entry> {
    WITNESSED.try_with(RefCell::take).ok().flatten()
}

impl Log {
    pub(crate) fn new() -> Self {
        let kept = Kept {
            entries: VecDeque::with_capacity(KEPT),
            last: 0,
            news: Some(channel(BEHIND).0),
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.kept().news = None;
    }

    /// The latest first.
    fn latest(&self) -> Vec<Entry> {
        self.kept().entries.iter().rev().cloned().collect()
    }

    /// What came after `number`, and what is to come. Nothing falls in between.
    fn after(&self, number: u64) -> Option<(VecDeque<Entry>, Receiver<Entry>)> {
        let kept = self.kept();
        let news = kept.news.as_ref()?.subscribe();
        let missed = kept.entries.iter().filter(|entry| entry.number > number);
        Some((missed.cloned().collect(), news))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Log {
    fn on_decision(&self, event: &DecisionEvent<'_>) {
        let mut kept = self.kept();
        kept.last += 1;
        let entry = Entry {
            number: kept.last,
            at: now(),
            route: event.route.to_owned(),
            decision: event.decision,
            provider: event.provider.to_owned(),
            reason: event.reason,
            elapsed: format!("{:.1} ms", event.elapsed.as_secs_f64() * 1e3),
            tone: tone(event.decision),
        };
        if kept.entries.len() == KEPT {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry.clone());
        if let Some(news) = &kept.news {
            // Nobody reads along.
            let _ = news.send(entry.clone());
        }
        drop(kept);
        // Not for decisions that nobody wants to witness.
        let _ = WITNESSED.try_with(|witnessed| witnessed.replace(Some(entry)));
    }
}

/// The time of day, in UTC like every log.
fn now() -> String {
    Timestamp::now().strftime("%H:%M:%S%.3f").to_string()
}

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
        frame: Frame::new("Log of decisions", "/log", nonce),
        last: entries.first().map_or(0, |entry| entry.number),
        entries,
    };
    show(StatusCode::OK, &shown, &[])
}

/// What the page has already.
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
    // A browser that comes back says what it saw last.
    let seen = headers.get("last-event-id");
    let seen = seen.and_then(|id| id.to_str().ok()?.parse().ok());
    let log = app.log();
    let place = Arc::clone(&log.readers).try_acquire_owned();
    let (Ok(place), Some((missed, news))) = (place, log.after(seen.unwrap_or(known.after))) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    Sse::new(told(missed, news, place))
        .keep_alive(KeepAlive::default())
        .into_response()
}

fn told(
    missed: VecDeque<Entry>,
    news: Receiver<Entry>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(
        (missed, news, place),
        |(mut missed, mut news, place)| async {
            let entry = loop {
                if let Some(entry) = missed.pop_front() {
                    break entry;
                }
                match news.recv().await {
                    Ok(entry) => break entry,
                    // The page shows them when it is loaded anew.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            };
            let event = Event::default()
                .id(entry.number.to_string())
                .json_data(&entry)
                .unwrap_or_default();
            Some((Ok(event), (missed, news, place)))
        },
    )
}
