use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{ObservedOutcome, Receipt};

/// Something that happened to one visitor of an experiment.
///
/// It contains no address, no user agent, and nothing that tells two visits of one person apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentEvent {
    /// When it happened.
    pub at: SystemTime,
    /// Which showing of a challenge it belongs to.
    pub receipt: Receipt,
    /// Where the visitor was, and in which arm. `None` where only the receipt is known, as in a label
    /// that arrives weeks later.
    pub assignment: Option<Assignment>,
    /// What happened.
    pub step: FunnelStep,
}

/// The arm that a visitor was assigned to, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The label of the route.
    pub route: Arc<str>,
    /// The name of the arm.
    pub arm: Arc<str>,
    /// The step of the ramp, from 0: visitors of one step were assigned with the same weights.
    pub ramp_step: u8,
    /// Whether it is the first visit of the visitor. `None` where there is no cookie to tell.
    pub first: Option<bool>,
    /// In which of 256 random groups the visitor is, so that visits of one visitor are in one group.
    /// `None` where there is no cookie to tell.
    pub bucket: Option<u8>,
    /// The segment of the visitor, a word of the operator's list.
    pub segment: Option<Arc<str>>,
}

/// What happened to a visitor of an experiment, from the challenge to the goal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FunnelStep {
    /// A page with the challenge was rendered.
    Shown {
        /// The account whose challenge it is.
        account: Arc<str>,
        /// Why this account: `arm`, or `fallback` while the account of the arm was down.
        why: &'static str,
    },
    /// The browser has loaded the widget. The browser says so.
    Loaded {
        /// How long it took since the page was ready.
        after: Duration,
    },
    /// The visitor has solved the challenge. The browser says so.
    Solved {
        /// How long it took since the widget was loaded.
        after: Duration,
    },
    /// The server has judged a token.
    Judged {
        /// The account that judged.
        account: Arc<str>,
        /// The verdict or the error.
        outcome: ObservedOutcome,
        /// How long it took.
        latency: Option<Duration>,
        /// Whether the token is of another account than the page showed.
        crossed: bool,
    },
    /// The visitor has done what they came for, such as a sign-up. The application says so.
    Completed,
    /// What became of the visitor later, such as `chargeback`. The application says so.
    Label(Arc<str>),
}

impl FunnelStep {
    /// Returns the name, for metrics: `shown`, `loaded`, `solved`, `judged`, `completed` or `labelled`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Shown { .. } => "shown",
            Self::Loaded { .. } => "loaded",
            Self::Solved { .. } => "solved",
            Self::Judged { .. } => "judged",
            Self::Completed => "completed",
            Self::Label(_) => "labelled",
        }
    }
}

/// A receiver of the events of an experiment, such as a file.
///
/// Clones of an [`Arc`] share one receiver.
pub trait EventSink: Debug + Send + Sync + 'static {
    /// Receives one event.
    ///
    /// It must not block and must not panic, because it runs in the program that serves visitors. An
    /// implementation that cannot keep up drops events, counts them, and says so where the events are
    /// read.
    fn record(&self, event: ExperimentEvent);
}

impl<S: EventSink + ?Sized> EventSink for Arc<S> {
    fn record(&self, event: ExperimentEvent) {
        (**self).record(event);
    }
}
