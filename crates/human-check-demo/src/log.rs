//! The log: the latest decisions, and a stream of new ones.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use human_check_guard::{DecisionEvent, Observer};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// How many decisions the log holds.
const KEPT: usize = 200;
/// How many decisions a slow reader may be behind before it misses some.
const MAX_LAG: usize = 64;
/// How many readers may follow the log at a time.
const MAX_READERS: usize = 32;

/// One decision.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// The number of the decision, from 1.
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) route: String,
    pub(crate) decision: &'static str,
    pub(crate) provider: String,
    pub(crate) reason: &'static str,
    /// The account that judged, or that the response shows, and why it was selected.
    pub(crate) account: String,
    pub(crate) why: &'static str,
    pub(crate) elapsed: String,
    /// The CSS class of the decision: `good`, `bad` or `unsure`.
    pub(crate) tone: &'static str,
}

impl Entry {
    /// Returns the account and why it was selected, as one text.
    pub(crate) fn selected(&self) -> String {
        match self.account.as_str() {
            "" => String::new(),
            account => format!("{account}: {}", self.why),
        }
    }
}

/// Returns the CSS class of a decision.
fn tone(decision: &str) -> &'static str {
    match decision {
        "human" => "good",
        "misconfigured" | "verification-unavailable" => "unsure",
        decision if decision.starts_with("failed-open") || decision.starts_with("not-") => "unsure",
        _ => "bad",
    }
}

/// Holds the latest decisions. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    kept: Arc<Mutex<Kept>>,
    pub(crate) readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    entries: VecDeque<Entry>,
    last: u64,
    /// `None` when the demo shuts down, which ends every stream.
    news: Option<Sender<Entry>>,
}

tokio::task_local! {
    /// The latest decision on the request of this task.
    static CAPTURED: RefCell<Option<Entry>>;
}

/// Runs a request, and captures the decision on it for [`captured`].
///
/// This works because a guard calls its observers on the task of the request.
pub(crate) async fn capture<F: Future>(request: F) -> F::Output {
    CAPTURED.scope(RefCell::default(), request).await
}

/// Returns the decision on this request, if there was one.
pub(crate) fn captured() -> Option<Entry> {
    CAPTURED.try_with(RefCell::take).ok().flatten()
}

impl Log {
    pub(crate) fn new() -> Self {
        let kept = Kept {
            entries: VecDeque::with_capacity(KEPT),
            last: 0,
            news: Some(channel(MAX_LAG).0),
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.kept().news = None;
    }

    /// Returns the decisions, newest first.
    pub(crate) fn latest(&self) -> Vec<Entry> {
        self.kept().entries.iter().rev().cloned().collect()
    }

    /// Returns the decisions after `number`, and a receiver of all further ones, without a gap.
    /// `None` when the demo shuts down.
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
            account: event.account.to_owned(),
            why: event.why,
            elapsed: format!("{:.1} ms", event.elapsed.as_secs_f64() * 1e3),
            tone: tone(event.decision),
        };
        if kept.entries.len() == KEPT {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry.clone());
        if let Some(news) = &kept.news {
            // An error means that there is no reader.
            let _ = news.send(entry.clone());
        }
        drop(kept);
        // An error means that the request is not captured.
        let _ = CAPTURED.try_with(|captured| captured.replace(Some(entry)));
    }
}

/// Returns the time of day, in UTC.
fn now() -> String {
    Timestamp::now().strftime("%H:%M:%S%.3f").to_string()
}
