use std::fmt;
use std::time::SystemTime;

use crate::{Hostname, Provider, Score};

/// What a provider reported about a visitor.
///
/// A fact that the provider did not report is `None`, never a default value. `Debug` shows the
/// names of the further details without their values, and redacts the binding.
///
/// ```
/// use human_check_core::{Facts, Hostname, Provider, Score};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let mut facts = Facts::new(&ACME);
/// facts.hostname = Hostname::parse("www.example.com");
/// facts.score = Some(Score::humanity(0.9)?);
/// assert!(facts.action.is_none());
/// # Ok::<(), human_check_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Facts {
    /// The provider that verified the token.
    pub provider: Provider,
    /// The host that showed the challenge.
    pub hostname: Option<Hostname>,
    /// The package name or bundle id of the app that showed the challenge.
    pub app: Option<String>,
    /// The action that the challenge was solved for, such as `signup`.
    pub action: Option<ReportedAction>,
    /// The value that the challenge was bound to, such as a session id.
    pub binding: Option<String>,
    /// When the challenge was solved, by the provider's clock.
    pub solved_at: Option<SystemTime>,
    /// How human the visitor looked, on the scale of [`Score`].
    pub score: Option<Score>,
    /// What kind of evidence the verdict rests on.
    pub evidence: EvidenceKind,
    /// What prevents that the token passes a second time.
    pub replay_protection: ReplayProtection,
    /// Whether the reply belongs to the provider's published test keys, and so proves nothing.
    pub test_key: bool,
    /// What a second provider reported, if the submission had its token as well and both had to
    /// pass.
    pub also_judged: Option<Box<Facts>>,
    /// Further details that the provider reported, by the provider's own names.
    pub details: Vec<(&'static str, DetailValue)>,
}

impl Facts {
    /// Creates facts that state the provider and nothing else.
    ///
    /// The evidence is [`EvidenceKind::Unstated`], the replay protection
    /// [`ReplayProtection::None`].
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

    /// Returns an iterator over these facts and those of the providers that also judged.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |facts| facts.also_judged.as_deref())
    }

    /// Adds the facts of another provider that judged the same submission.
    #[must_use]
    pub fn with_also_judged(mut self, other: Self) -> Self {
        self.also_judged = Some(Box::new(match self.also_judged.take() {
            Some(first) => first.with_also_judged(other),
            None => other,
        }));
        self
    }

    /// Returns the detail with the provider's own `name`, if the provider reported it.
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

/// An action as a provider reported it, and how the provider compares actions.
///
/// ```
/// use human_check_core::ReportedAction;
///
/// assert!(ReportedAction::ignoring_case("LOGIN").matches("login"));
/// assert!(!ReportedAction::exact("LOGIN").matches("login"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportedAction {
    name: String,
    ignore_case: bool,
}

impl ReportedAction {
    /// Creates an action that matches its exact spelling only.
    pub fn exact(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: false,
        }
    }

    /// Creates an action that is compared without case, for a provider that does not distinguish
    /// `login` and `LOGIN`.
    pub fn ignoring_case(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ignore_case: true,
        }
    }

    /// Returns the name as the provider reported it.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns whether this is the `expected` action.
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
    /// The visitor did something: clicked a checkbox, solved a puzzle.
    Interactive,
    /// The visitor's device computed a proof of work. It costs CPU time and is no sign of humanity.
    ProofOfWork,
    /// The provider assessed signals and reported a score.
    RiskScored,
    /// The provider vouched for the visitor and did not report why.
    Unstated,
}

/// What prevents that a token passes a second time (a replay).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayProtection {
    /// Nothing. Add a replay store: a `ReplayGuard` around the check.
    None,
    /// A replay store, such as that of a `ReplayGuard`.
    Store,
    /// The provider: it accepts each token once.
    Provider,
}

/// The value of a further detail that a provider reported; see [`Facts::details`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DetailValue {
    /// A boolean.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
    /// A number, on the provider's own scale.
    Number(f64),
    /// A text.
    Text(String),
}

impl DetailValue {
    /// Returns the text, if the value is a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the texts if the value is a list, and an empty slice otherwise.
    pub fn as_list(&self) -> &[String] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}
