use std::sync::Arc;

use human_check_core::{ErrorKind, Facts};

use crate::DenialReason;

/// Proof that the check passed for this request.
///
/// Only a guard makes one, and only of a human verdict, so a handler that takes it cannot run
/// without. Clones prove the same.
#[derive(Clone, Debug)]
pub struct Human(Arc<Facts>);

impl Human {
    pub(crate) fn new(facts: Facts) -> Self {
        Self(Arc::new(facts))
    }

    /// What the provider said about the visitor.
    pub fn facts(&self) -> &Facts {
        &self.0
    }
}

/// Somebody whom the route lets in: proven human, or not asked, or undecided.
#[derive(Clone, Debug)]
#[must_use = "an unverified visitor looks like a human if nobody looks"]
pub enum Visitor {
    /// The check passed.
    Human(Human),
    /// The route lets the visitor in without proof.
    Unverified(Unverified),
}

impl Visitor {
    /// The proof, if there is one.
    pub fn human(&self) -> Option<&Human> {
        match self {
            Self::Human(human) => Some(human),
            Self::Unverified(_) => None,
        }
    }

    /// Why there is no proof.
    pub fn unverified(&self) -> Option<Unverified> {
        match self {
            Self::Human(_) => None,
            Self::Unverified(why) => Some(*why),
        }
    }
}

/// Why somebody was let in without proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unverified {
    /// No trigger asked for a challenge.
    NotChallenged,
    /// Nobody could tell, and the route opens on that. The token may be as good as any.
    FailedOpen(ErrorKind),
    /// The route only observes; it would have been this.
    Observed(DenialReason),
}

impl Unverified {
    /// A short name of a fixed set, fit for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotChallenged => "not-challenged",
            Self::FailedOpen(ErrorKind::Declined) => "failed-open-declined",
            Self::FailedOpen(_) => "failed-open",
            Self::Observed(_) => "observed",
        }
    }

    /// How a handler that demands proof is answered.
    pub(crate) fn denial(self) -> DenialReason {
        match self {
            Self::NotChallenged => DenialReason::ChallengeRequired,
            Self::FailedOpen(_) => DenialReason::Unavailable {
                retry_after: None,
                token_used: true,
            },
            Self::Observed(denial) => denial,
        }
    }
}
