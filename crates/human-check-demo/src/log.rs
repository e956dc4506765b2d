//! The latest decisions: kept, and sent on as they are made.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use human_check_guard::{DecisionEvent, Observer};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::{Receiver, Sender, channel};

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
        decision if decision.starts_with("failed-open") || decision.starts_with("not-") => "unsure",
        _ => "bad",
    }
}

/// Keeps the latest decisions. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    kept: Arc<Mutex<Kept>>,
    pub(crate) readers: Arc<Semaphore>,
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
    static CAPTURED: RefCell<Option<Entry>>;
}

/// Runs a request of which [`captured`] then tells. Guards speak on the request's own task.
pub(crate) async fn capture<F: Future>(request: F) -> F::Output {
    CAPTURED.scope(RefCell::default(), request).await
}

/// What was decided about this request, if anything was.
pub(crate) fn captured() -> Option<Entry> {
    CAPTURED.try_with(RefCell::take).ok().flatten()
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
    pub(crate) fn latest(&self) -> Vec<Entry> {
        self.kept().entries.iter().rev().cloned().collect()
    }

    /// What came after `number`, and what is to come. Nothing falls in between.
    pub(crate) fn after(&self, number: u64) -> Option<(VecDeque<Entry>, Receiver<Entry>)> {
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
        // Not for decisions that nobody wants to capture.
        let _ = CAPTURED.try_with(|captured| captured.replace(Some(entry)));
    }
}

/// The time of day, in UTC like every log.
fn now() -> String {
    Timestamp::now().strftime("%H:%M:%S%.3f").to_string()
}
