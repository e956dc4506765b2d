//! What is decided about a request, and who is told.

mod accept;
mod denial_reason;
mod inspected;
mod observer;
mod pending;
mod rejection;
mod report;
mod responder;
mod visitor;

use std::sync::Arc;

use human_check_core::Submission;

pub use accept::prefers_html;
pub use denial_reason::DenialReason;
pub use inspected::Inspected;
pub(crate) use inspected::PROVIDER_HEADER;
#[cfg(feature = "metrics")]
pub use observer::MetricsObserver;
pub use observer::{DecisionEvent, Observer};
pub use pending::Pending;
pub use rejection::{GuardResponse, Rejection};
pub use visitor::{Human, Unverified, Visitor};

use crate::snapshot::Snapshot;
use responder::Responder;

/// What was decided about a request, and how it would be answered.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody in"]
pub struct Decision {
    pub(crate) result: Result<Visitor, DenialReason>,
    pub(crate) reply: Responder,
    /// What the check was asked about, so that its token may be spent.
    pub(crate) asked: Option<Arc<Submission>>,
}

impl Decision {
    /// Takes what the handler demands, or the refusal to answer with.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the decision is not what is demanded.
    pub fn require<D: FromDecision>(self) -> Result<D, Rejection> {
        D::from_decision(self)
    }

    /// The guard that decided, as it was then.
    pub(crate) fn guard(&self) -> &Snapshot {
        self.reply.guard()
    }

    /// What was decided.
    ///
    /// # Errors
    ///
    /// The [`DenialReason`], if the visitor is refused.
    pub fn result(&self) -> Result<&Visitor, DenialReason> {
        self.result.as_ref().map_err(|denial| *denial)
    }

    /// The answer for somebody refused for `denial`.
    pub(crate) fn refuse(&self, denial: DenialReason) -> Rejection {
        self.reply.refuse(denial)
    }

    /// Takes what was decided, ready to be answered.
    pub(crate) fn into_result(self) -> Result<Visitor, Rejection> {
        let Self { result, reply, .. } = self;
        result.map_err(|denial| reply.refuse(denial))
    }
}

/// What a handler demands of an [`Decision`].
///
/// | type | lets the handler run for |
/// | --- | --- |
/// | [`Human`] | proven humans, whatever the route's policy opens on |
/// | [`Visitor`] | those whom the route's policy lets in |
/// | `Result<Visitor, Rejection>` | everybody; the handler decides and tokens |
pub trait FromDecision: Sized + Send + 'static {
    /// Takes the decision, or refuses it.
    ///
    /// # Errors
    ///
    /// [`Rejection`], ready to be answered, when the decision is not what is demanded.
    fn from_decision(decision: Decision) -> Result<Self, Rejection>;
}

impl FromDecision for Human {
    fn from_decision(decision: Decision) -> Result<Self, Rejection> {
        match decision
            .result()
            .map_err(|denial| decision.refuse(denial))?
            .clone()
        {
            Visitor::Human(human) => Ok(human),
            Visitor::Unverified(why) => Err(decision.refuse(why.denial())),
        }
    }
}

impl FromDecision for Visitor {
    fn from_decision(decision: Decision) -> Result<Self, Rejection> {
        decision.into_result()
    }
}

impl FromDecision for Result<Visitor, Rejection> {
    fn from_decision(decision: Decision) -> Result<Self, Rejection> {
        Ok(decision.into_result())
    }
}
