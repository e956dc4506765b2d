use std::fmt;
use std::time::SystemTime;

use crate::{Hostname, Provider, Score};

/// What a vendor said about a visitor.
///
/// A fact that the vendor did not state is `None`, never a default value. `Debug` names the
/// vendor's further details without their values.
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
    pub action: Option<Action>,
    /// The caller's own value that was tied to the challenge (cdata, uid).
    pub binding: Option<String>,
    /// When the challenge was solved. It comes from the vendor's clock.
    pub solved_at: Option<SystemTime>,
    /// How human the visitor looked.
    pub score: Option<Score>,
    /// What kind of evidence this is.
    pub assurance: Assurance,
    /// Who sees to it that the token passes only once.
    pub single_use: SingleUse,
    /// Whether the answer belongs to a vendor's published testing keys and proves nothing.
    pub testing_credentials: bool,
    /// What another vendor said whose answer was in the same submission, and had to hold, too.
    pub beside: Option<Box<Facts>>,
    /// What else the vendor said, under the vendor's own names.
    pub details: Vec<(&'static str, Detail)>,
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
            assurance: Assurance::Unstated,
            single_use: SingleUse::Nobody,
            testing_credentials: false,
            beside: None,
            details: Vec::new(),
        }
    }

    /// These facts, and those of everybody who was judged beside.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |facts| facts.beside.as_deref())
    }

    /// The same with those of somebody judged beside.
    #[must_use]
    pub fn with_beside(mut self, other: Self) -> Self {
        self.beside = Some(Box::new(match self.beside.take() {
            Some(beside) => beside.with_beside(other),
            None => other,
        }));
        self
    }

    /// A further detail by the vendor's own name for it.
    pub fn detail(&self, name: &str) -> Option<&Detail> {
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
            .field("assurance", &self.assurance)
            .field("single_use", &self.single_use)
            .field("testing_credentials", &self.testing_credentials)
            .field("beside", &self.beside)
            .field("details", &details)
            .finish()
    }
}

/// The name of what a visitor was doing, and how its vendor compares such names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Action {
    name: String,
    ignore_case: bool,
}

impl Action {
    /// An action that only its exact spelling matches.
    pub fn exact(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: false,
        }
    }

    /// An action of a vendor for whom `login` and `LOGIN` are the same.
    pub fn ignoring_case(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: true,
        }
    }

    /// The name as the vendor reported it.
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
pub enum Assurance {
    /// The visitor worked at something: a checkbox, a puzzle.
    Interactive,
    /// The visitor's machine spent CPU time. That is a price, not a sign of humanity.
    ProofOfWork,
    /// The vendor formed an opinion from signals and said how strong it is.
    RiskScored,
    /// The vendor said yes and not why.
    Unstated,
}

/// Who sees to it that a token passes only once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SingleUse {
    /// Nobody. Put a store of spent tokens in front.
    Nobody,
    /// A store of spent tokens on our side.
    Store,
    /// The vendor spends the token when it is verified.
    Vendor,
}

/// One of the further things a vendor said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Detail {
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
    /// A number, on the vendor's own scale.
    Number(f64),
    /// A text.
    Text(String),
}

impl Detail {
    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts, where there are several.
    pub fn list(&self) -> &[String] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}
