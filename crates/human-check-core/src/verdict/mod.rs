//! What a check returns: a verdict with facts or a refusal, or an error.

mod capabilities;
mod check_error;
mod facts;
mod hostname;
mod refusal;
mod score;

pub use capabilities::{Capabilities, FactKind, Support};
pub use check_error::{CheckError, ErrorKind};
pub use facts::{DetailValue, EvidenceKind, Facts, ReplayProtection, ReportedAction};
pub(crate) use hostname::HostPattern;
pub use hostname::Hostname;
pub use refusal::{Reason, Refusal};
pub use score::Score;

use crate::{Provider, Submission};

/// The result of a check that reached a decision: the visitor passed or is refused.
///
/// A check that could not reach a decision returns a [`CheckError`](crate::CheckError) instead.
///
/// ```
/// use human_check_core::{Reason, Verdict};
///
/// fn describe(verdict: &Verdict) -> String {
///     match verdict {
///         Verdict::Human(facts) => format!("verified by {}", facts.provider),
///         Verdict::NotHuman(refusal) => format!("refused: {}", refusal.reason()),
///     }
/// }
///
/// assert_eq!(describe(&Verdict::refused(Reason::Expired)), "refused: expired");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a verdict that is ignored lets every visitor through"]
pub enum Verdict {
    /// The visitor passed.
    Human(Facts),
    /// The visitor did not pass.
    NotHuman(Refusal),
}

impl Verdict {
    /// Creates a refusal for `reason`, without codes and facts.
    pub fn refused(reason: Reason) -> Self {
        Self::NotHuman(Refusal::new(reason))
    }

    /// Sets the provider of a refusal that names none yet. A human verdict stays as it is.
    pub(crate) fn with_provider(self, provider: &Provider) -> Self {
        match self {
            Self::NotHuman(refusal) => Self::NotHuman(refusal.with_provider(provider)),
            human @ Self::Human(_) => human,
        }
    }

    /// Returns whether the visitor passed.
    pub fn is_human(&self) -> bool {
        matches!(self, Self::Human(_))
    }

    /// Returns the facts, if the visitor passed.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Human(facts) => Some(facts),
            Self::NotHuman(_) => None,
        }
    }

    /// Returns the refusal, if the visitor did not pass.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Human(_) => None,
            Self::NotHuman(refusal) => Some(refusal),
        }
    }

    /// Refuses a human verdict that does not meet the expectations of `submission`.
    ///
    /// Every adapter calls it last, so that an expected action or binding holds with and without a
    /// [`Policy`](crate::Policy). A verdict that lacks an expected fact is refused, too. A refusal
    /// keeps its reason; one for the score alone is no longer [for the score
    /// alone](Refusal::facts_but_for_score).
    ///
    /// ```
    /// use human_check_core::{Facts, Provider, Submission, Verdict};
    ///
    /// static ACME: Provider = Provider::new("acme", &["acme-response"]);
    /// let login = Submission::new().with_expected_action("login");
    /// let verdict = Verdict::Human(Facts::new(&ACME)).check_expectations(&login);
    /// assert_eq!(verdict.refusal().unwrap().reason().as_str(), "action-absent");
    /// ```
    pub fn check_expectations(self, submission: &Submission) -> Self {
        match self {
            Self::Human(facts) => match submission.unmet_by(&facts) {
                Some(reason) => {
                    let refusal = Refusal::new(reason).with_facts(facts);
                    // A binding may be a session, so only an action is shown.
                    let expected = match reason {
                        Reason::WrongAction | Reason::EvidenceAbsent(FactKind::Action) => {
                            submission.expected_action()
                        }
                        _ => None,
                    };
                    Self::NotHuman(match expected {
                        Some(action) => refusal.with_expected(action),
                        None => refusal,
                    })
                }
                None => Self::Human(facts),
            },
            Self::NotHuman(refusal) => {
                let met = refusal
                    .facts_but_for_score()
                    .is_some_and(|facts| submission.unmet_by(facts).is_none());
                Self::NotHuman(refusal.with_only_score_too_low(met))
            }
        }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::NotHuman(refusal)
    }
}
