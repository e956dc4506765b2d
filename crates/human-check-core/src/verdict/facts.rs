use std::fmt;
use std::time::SystemTime;

use crate::{Hostname, Provider, Score};

/// What a provider said about a visitor.
///
/// A fact that the provider did not state is `None`, never a default value. `Debug` names the
/// provider's further details without their values.
#[derive(Clone)]
#[non_exhaustive]
pub struct Facts {
    /// Who judged.
    pub provider: Provider,
    /// The host that showed the challenge.
    pub hostname: Option<Hostname>,
    /// The package name or bundle id, where an app showed it.
    pub app: Option<String>,
    /// What the visitor was doing, as the page declared it.
    pub action: Option<ReportedAction>,
    /// The caller's own value that was tied to the challenge (cdata, uid).
    pub binding: Option<String>,
    /// When the challenge was solved. It comes from the provider's clock.
    pub solved_at: Option<SystemTime>,
    /// How human the visitor looked.
    pub score: Option<Score>,
    /// What kind of evidence this is.
    pub evidence: EvidenceKind,
    /// Who sees to it that the token passes only once.
    pub replay_protection: ReplayProtection,
    /// Whether the answer belongs to a provider's published testing keys and proves nothing.
    pub test_key: bool,
    /// What another provider said whose answer was in the same submission, and had to hold, too.
    pub also_judged: Option<Box<Facts>>,
    /// What else the provider said, under the provider's own names.
    pub details: Vec<(&'static str, DetailValue)>,
}

impl Facts {
    /// No facts yet, only who judged: nothing is stated, and nobody sees to single use.
    pub fn new(provider: &Provider) -> Self {
        Self {
            provider: provider.clone(),
            hostname: None,
            app: None,
            action: None,
            binding: None,
            solved_at: None,
            score: None,
            evidence: EvidenceKind::Unstated,
            replay_protection: ReplayProtection::None,
            test_key: false,
            also_judged: None,
            details: Vec::new(),
        }
    }

    /// These facts, and those of everybody who was judged beside.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |facts| facts.also_judged.as_deref())
    }

    /// The same with those of somebody judged beside.
    #[must_use]
    pub fn with_also_judged(mut self, other: Self) -> Self {
        self.also_judged = Some(Box::new(match self.also_judged.take() {
            Some(first) => first.with_also_judged(other),
            None => other,
        }));
        self
    }

    /// A further detail by the provider's own name for it.
    pub fn detail(&self, name: &str) -> Option<&DetailValue> {
        self.details
            .iter()
            .find_map(|(n, value)| (*n == name).then_some(value))
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details: Vec<_> = self.details.iter().map(|(name, _)| name).collect();
        f.debug_struct("Facts")
            .field("provider", &self.provider)
            .field("hostname", &self.hostname)
            .field("app", &self.app)
            .field("action", &self.action)
            .field("binding", &self.binding.as_ref().map(|_| "[redacted]"))
            .field("solved_at", &self.solved_at)
            .field("score", &self.score)
            .field("evidence", &self.evidence)
            .field("replay_protection", &self.replay_protection)
            .field("test_key", &self.test_key)
            .field("also_judged", &self.also_judged)
            .field("details", &details)
            .finish()
    }
}

/// The name of what a visitor was doing, and how its provider compares such names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportedAction {
    name: String,
    ignore_case: bool,
}

impl ReportedAction {
    /// An action that only its exact spelling matches.
    pub fn exact(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: false,
        }
    }

    /// An action of a provider for whom `login` and `LOGIN` are the same.
    pub fn ignoring_case(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: true,
        }
    }

    /// The name as the provider reported it.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether this is the `expected` action.
    pub fn matches(&self, expected: &str) -> bool {
        if self.ignore_case {
            self.name.eq_ignore_ascii_case(expected)
        } else {
            self.name == expected
        }
    }
}

/// What kind of evidence a verdict rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EvidenceKind {
    /// The visitor worked at something: a checkbox, a puzzle.
    Interactive,
    /// The visitor's machine spent CPU time. That is a price, not a sign of humanity.
    ProofOfWork,
    /// The provider formed an opinion from signals and said how strong it is.
    RiskScored,
    /// The provider said yes and not why.
    Unstated,
}

/// Who sees to it that a token passes only once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayProtection {
    /// Nobody. Put a store of spent tokens in front.
    None,
    /// A store of spent tokens on our side.
    Store,
    /// The provider spends the token when it is verified.
    Provider,
}

/// One of the further things a provider said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DetailValue {
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
    /// A number, on the provider's own scale.
    Number(f64),
    /// A text.
    Text(String),
}

impl DetailValue {
    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts, where there are several.
    pub fn as_list(&self) -> &[String] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}
