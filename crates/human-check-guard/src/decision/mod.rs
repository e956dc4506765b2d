//! The decision about a request, its report to the operator, and the response to the client.
//!
//! The steps are types: [`Inspected`] has read the head, [`Pending`] has the tokens, and
//! [`Decision`] has called the check.

mod accept;
mod denial_reason;
mod inspected;
mod judging;
mod observer;
mod pending;
mod refusal_page;
mod refusal_streak;
mod rejection;
mod report;
mod responder;
mod twins;
mod visitor;

pub use accept::prefers_html;
pub use denial_reason::DenialReason;
pub use inspected::Inspected;
pub(crate) use inspected::PROVIDER_HEADER;
pub use observer::{DecisionEvent, Observer};
pub use pending::Pending;
pub use rejection::{GuardResponse, Rejection};
pub use visitor::{Cleared, Human, Unverified, Visitor};

pub use refusal_page::RefusalView;
pub(crate) use refusal_page::{KeptForm, MAX_FORM_BYTES, MAX_FORM_FIELDS};
pub(crate) use refusal_streak::{REFUSALS_BEFORE_WARNING, RefusalStreaks};
pub(crate) use twins::Twins;

use crate::snapshot::Snapshot;
use judging::Submitted;
use responder::Responder;

/// The decision of a guard about one request, with the response in case of a refusal.
///
/// Call [`require`](Self::require) to act on it. Keep a clone with the request, and pass it to
/// [`Pending::decide_after`] when another extractor decides about the same request.
#[derive(Clone, Debug)]
#[must_use = "a decision has no effect until `require` is called"]
pub struct Decision {
    pub(crate) result: Result<Visitor, DenialReason>,
    pub(crate) responder: Responder,
    /// What the check was called with. `None` if it was not called.
    pub(crate) submitted: Option<Submitted>,
}

impl Decision {
    /// Returns what the handler demands of the decision, for example a [`Human`].
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the decision does not meet the demand. It holds the response.
    pub fn require<D: FromDecision>(self) -> Result<D, Rejection> {
        D::from_decision(self)
    }

    /// Returns the snapshot of the guard that decided.
    pub(crate) fn guard(&self) -> &Snapshot {
        self.responder.guard()
    }

    /// Returns the visitor that the policy lets through.
    ///
    /// # Errors
    ///
    /// The [`DenialReason`], if the request is refused.
    pub fn result(&self) -> Result<&Visitor, DenialReason> {
        self.result.as_ref().map_err(|denial| *denial)
    }

    /// Returns the value of a header `Set-Cookie` that the response of the handler needs, if there is
    /// one: the clearance that the route issues with a human verdict.
    pub fn set_cookie(&self) -> Option<&str> {
        self.result.as_ref().ok()?.human()?.clearance_cookie()
    }

    /// Returns the rejection for `denial`, in the form that this client prefers.
    pub(crate) fn refuse(&self, denial: DenialReason) -> Rejection {
        self.responder.refuse(denial)
    }

    /// Returns the visitor, or the rejection with its response.
    pub(crate) fn into_result(self) -> Result<Visitor, Rejection> {
        let Self {
            result, responder, ..
        } = self;
        result.map_err(|denial| responder.refuse(denial))
    }
}

/// What a handler demands of a [`Decision`].
///
/// | type | the handler runs for |
/// | --- | --- |
/// | [`Human`] | verified humans only, even on a route that fails open |
/// | [`Visitor`] | requests that the route's policy lets through, verified or not |
/// | `Result<Visitor, Rejection>` | every request; the handler responds to refusals itself |
///
/// Implement it for a type of the application to put a demand of your own into a handler's
/// signature:
///
/// ```
/// use human_check_guard::integration::{Decision, FromDecision};
/// use human_check_guard::{Rejection, Visitor};
///
/// /// Whether the visitor was verified, on routes that let unverified ones through.
/// struct Verified(bool);
///
/// impl FromDecision for Verified {
///     fn from_decision(decision: Decision) -> Result<Self, Rejection> {
///         let visitor: Visitor = decision.require()?;
///         Ok(Self(visitor.human().is_some()))
///     }
/// }
/// ```
pub trait FromDecision: Sized + Send + 'static {
    /// Converts the decision, or refuses the request.
    ///
    /// # Errors
    ///
    /// [`Rejection`] with the response, when the decision does not meet the demand.
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
            Visitor::Cleared(_) => Err(decision.refuse(DenialReason::ChallengeRequired)),
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
