use std::fmt;
use std::sync::Arc;

use human_check_core::{ErrorKind, Facts};

use crate::ExperimentReceipt;

use crate::DenialReason;

/// Proof that the check returned a human verdict for this request.
///
/// Only a guard can create it, so a handler that takes a `Human` cannot run without a human
/// verdict. A clone proves the same.
#[derive(Clone, Debug)]
pub struct Human(Arc<Proof>);

#[derive(Debug)]
struct Proof {
    facts: Facts,
    clearance: Option<SetCookie>,
    receipt: Option<Box<ExperimentReceipt>>,
}

/// The value of a header `Set-Cookie`, which is a credential of the visitor.
struct SetCookie(String);

impl fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Human {
    /// Creates the proof from the facts of a human verdict, with the cookie of the clearance that the
    /// route issues, and the receipt of a visitor of an experiment.
    pub(crate) fn new(
        facts: Facts,
        clearance: Option<String>,
        receipt: Option<ExperimentReceipt>,
    ) -> Self {
        Self(Arc::new(Proof {
            facts,
            clearance: clearance.map(SetCookie),
            receipt: receipt.map(Box::new),
        }))
    }

    /// Returns the receipt of the visitor, who takes part in an experiment. `None` for others.
    ///
    /// Pass it to [`Guard::completed`](crate::Guard::completed) when the visitor has done what they came
    /// for.
    pub fn receipt(&self) -> Option<&ExperimentReceipt> {
        self.0.receipt.as_deref()
    }

    /// Returns what the provider reported about the visitor, such as its name, a score or the host.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// Returns the value of the header `Set-Cookie` with the clearance that the route issues. `None`
    /// if it issues none.
    ///
    /// The middleware or the fairing of the framework's crate sends it. Use it where none does.
    pub fn clearance_cookie(&self) -> Option<&str> {
        self.0.clearance.as_ref().map(|cookie| cookie.0.as_str())
    }
}

/// Proof that the visitor passed a check on another route a short time ago.
///
/// It is no [`Human`]: the clearance may have been passed on.
#[derive(Clone, Debug)]
pub struct Cleared {
    pub(crate) route: Arc<str>,
}

impl Cleared {
    /// Returns the name of the route that issued the clearance.
    pub fn issued_by(&self) -> &str {
        &self.route
    }
}

/// A visitor that the route's policy lets through, with a human verdict or without.
///
/// Take it instead of a [`Human`] on routes that fail open, that challenge only some visitors, or
/// that only observe.
///
/// ```
/// use human_check_guard::{Unverified, Visitor};
///
/// fn subscribe(visitor: &Visitor) -> &'static str {
///     match visitor {
///         Visitor::Human(_) | Visitor::Cleared(_) => "subscribed",
///         // No trigger asked for a challenge.
///         Visitor::Unverified(Unverified::NotChallenged) => "subscribed",
///         // The route failed open, or it only observes: confirm the address first.
///         _ => "please confirm by mail",
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a visitor may be unverified"]
#[non_exhaustive]
pub enum Visitor {
    /// The visitor passed a check on another route, whose clearance this route accepts.
    Cleared(Cleared),
    /// The check returned a human verdict.
    Human(Human),
    /// There is no human verdict, and the route's policy lets the request through.
    Unverified(Unverified),
}

impl Visitor {
    /// Returns the proof. `None` if the visitor is unverified.
    pub fn human(&self) -> Option<&Human> {
        match self {
            Self::Human(human) => Some(human),
            Self::Cleared(_) | Self::Unverified(_) => None,
        }
    }

    /// Returns the clearance, if the visitor has one that the route accepts.
    pub fn cleared(&self) -> Option<&Cleared> {
        match self {
            Self::Cleared(cleared) => Some(cleared),
            Self::Human(_) | Self::Unverified(_) => None,
        }
    }

    /// Returns why there is no proof. `None` if the visitor is a verified human or has a clearance.
    pub fn unverified(&self) -> Option<Unverified> {
        match self {
            Self::Cleared(_) | Self::Human(_) => None,
            Self::Unverified(why) => Some(*why),
        }
    }
}

/// Why a request reached the handler without a human verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unverified {
    /// The request has no token, and no trigger asked for a challenge.
    NotChallenged,
    /// The check failed with an error of this kind, and the route fails open on it. The token may
    /// be valid or invalid.
    FailedOpen(ErrorKind),
    /// The route only observes. Otherwise the request would have been refused for this reason.
    Observed(DenialReason),
}

impl Unverified {
    /// Returns the name, for logs and metric labels: `not-challenged`, `failed-open`,
    /// `failed-open-declined` or `observed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotChallenged => "not-challenged",
            Self::FailedOpen(ErrorKind::Declined) => "failed-open-declined",
            Self::FailedOpen(_) => "failed-open",
            Self::Observed(_) => "observed",
        }
    }

    /// Returns the refusal for a handler that demands a [`Human`].
    pub(crate) fn denial(self) -> DenialReason {
        match self {
            Self::NotChallenged => DenialReason::ChallengeRequired,
            Self::FailedOpen(_) => DenialReason::Unavailable {
                retry_after: None,
                token_used: true,
                retry: false,
            },
            Self::Observed(denial) => denial,
        }
    }
}
