//! What comes out of a check.

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

/// What a provider decided. Somebody has spoken, as opposed to [`CheckError`](crate::CheckError).
#[derive(Clone, Debug)]
#[must_use = "a verdict that nobody looks at lets everybody in"]
pub enum Verdict {
    /// The visitor passed.
    Human(Facts),
    /// The visitor did not pass.
    NotHuman(Refusal),
}

impl Verdict {
    /// A refusal for `reason`, with nothing else to say.
    pub fn refused(reason: Reason) -> Self {
        Self::NotHuman(Refusal::new(reason))
    }

    /// The same, and a refusal says that it is `provider`'s, where nothing says so yet.
    pub(crate) fn with_provider(self, provider: &Provider) -> Self {
        match self {
            Self::NotHuman(refusal) => Self::NotHuman(refusal.with_provider(provider)),
            human @ Self::Human(_) => human,
        }
    }

    /// Whether the visitor passed.
    pub fn is_human(&self) -> bool {
        matches!(self, Self::Human(_))
    }

    /// The facts of a visitor who passed.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Human(facts) => Some(facts),
            Self::NotHuman(_) => None,
        }
    }

    /// Why the visitor did not pass.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Human(_) => None,
            Self::NotHuman(refusal) => Some(refusal),
        }
    }

    /// Refuses a human verdict that does not match what `submission` expects.
    ///
    /// Every check ends with it, so that an expected action or binding holds whether or not a
    /// [`Policy`](crate::Policy) stands in front. An expectation that the verdict says nothing about refuses.
    pub fn check_expectations(self, submission: &Submission) -> Self {
        match self {
            Self::Human(facts) => match submission.unmet_by(&facts) {
                Some(reason) => Self::NotHuman(Refusal::new(reason).with_facts(facts)),
                None => Self::Human(facts),
            },
            refused => refused,
        }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::NotHuman(refusal)
    }
}
