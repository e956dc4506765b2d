use std::sync::Arc;

use human_check_core::{ErrorKind, Facts};

use crate::{Denial, Outcome, Refused};

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

    /// What the vendor said about the visitor.
    pub fn facts(&self) -> &Facts {
        &self.0
    }
}

/// Somebody whom the route lets in: proven human, or not asked, or undecided.
#[derive(Clone, Debug)]
#[must_use = "an unproven visitor looks like a human if nobody looks"]
pub enum Visitor {
    /// The check passed.
    Human(Human),
    /// The route lets the visitor in without proof.
    Unproven(Unproven),
}

impl Visitor {
    /// The proof, if there is one.
    pub fn human(&self) -> Option<&Human> {
        match self {
            Self::Human(human) => Some(human),
            Self::Unproven(_) => None,
        }
    }

    /// Why there is no proof.
    pub fn unproven(&self) -> Option<Unproven> {
        match self {
            Self::Human(_) => None,
            Self::Unproven(why) => Some(*why),
        }
    }
}

/// Why somebody was let in without proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unproven {
    /// No trigger asked for a challenge.
    NotChallenged,
    /// Nobody could tell, and the route opens on that. The token may be as good as any.
    Undecided(ErrorKind),
    /// The route only observes; it would have been this.
    Observed(Denial),
}

impl Unproven {
    /// A short name of a fixed set, fit for logs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotChallenged => "not-challenged",
            Self::Undecided(ErrorKind::Declined) => "let-in-declined",
            Self::Undecided(_) => "let-in-undecided",
            Self::Observed(_) => "observed",
        }
    }

    /// How a handler that demands proof is answered.
    fn denial(self) -> Denial {
        match self {
            Self::NotChallenged => Denial::ChallengeRequired,
            Self::Undecided(_) => Denial::Unavailable {
                retry_after: None,
                token_spent: true,
            },
            Self::Observed(denial) => denial,
        }
    }
}

/// What a handler demands of an [`Outcome`].
///
/// | type | lets the handler run for |
/// | --- | --- |
/// | [`Human`] | proven humans, whatever the route's policy opens on |
/// | [`Visitor`] | those whom the route's policy lets in |
/// | `Result<Visitor, Refused>` | everybody; the handler decides and answers |
pub trait Demand: Sized + Send + 'static {
    /// Takes the outcome, or refuses it.
    ///
    /// # Errors
    ///
    /// [`Refused`], ready to be answered, when the outcome is not what is demanded.
    fn of(outcome: Outcome) -> Result<Self, Refused>;
}

impl Demand for Human {
    fn of(outcome: Outcome) -> Result<Self, Refused> {
        match outcome
            .result()
            .map_err(|denial| outcome.refuse(denial))?
            .clone()
        {
            Visitor::Human(human) => Ok(human),
            Visitor::Unproven(why) => Err(outcome.refuse(why.denial())),
        }
    }
}

impl Demand for Visitor {
    fn of(outcome: Outcome) -> Result<Self, Refused> {
        outcome.into_result()
    }
}

impl Demand for Result<Visitor, Refused> {
    fn of(outcome: Outcome) -> Result<Self, Refused> {
        Ok(outcome.into_result())
    }
}
