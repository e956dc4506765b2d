use std::fmt;

/// A piece of evidence that a human verdict may carry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FactKind {
    /// What the visitor was doing, as the page declared it.
    Action,
    /// The caller's own value that was tied to the challenge (cdata, uid).
    Binding,
    /// Where the challenge was shown: a host name, or an app's package name.
    Hostname,
    /// How human the visitor looked.
    Score,
    /// When the challenge was solved.
    SolvedAt,
}

impl FactKind {
    const ALL: [Self; 5] = [
        Self::Action,
        Self::Binding,
        Self::Hostname,
        Self::Score,
        Self::SolvedAt,
    ];

    /// Its name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Binding => "binding",
            Self::Hostname => "hostname",
            Self::Score => "score",
            Self::SolvedAt => "time of solving",
        }
    }
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a fact can be relied on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Support {
    /// No verdict needs to carry it; a policy that asks for it would refuse everybody, or everybody
    /// whom one of several providers judges.
    Never,
    /// Some verdicts carry it. A policy may ask for it and refuses those without.
    Sometimes,
    /// Every human verdict carries it.
    Always,
}

/// Which facts the human verdicts of a check carry.
///
/// Policies are checked against it when they are built, and the conformance suite chooses its
/// tests by it.
///
/// ```
/// use human_check_core::{FactKind, Support, Capabilities};
///
/// const REPORTS: Capabilities = Capabilities::nothing()
///     .always(FactKind::Hostname)
///     .sometimes(FactKind::Action);
/// assert_eq!(REPORTS.of(FactKind::Hostname), Support::Always);
/// assert_eq!(REPORTS.of(FactKind::Score), Support::Never);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities([Support; FactKind::ALL.len()]);

impl Capabilities {
    /// No facts at all, only yes or no.
    pub const fn nothing() -> Self {
        Self([Support::Never; FactKind::ALL.len()])
    }

    /// The same, and `fact` is in every human verdict.
    #[must_use]
    pub const fn always(mut self, fact: FactKind) -> Self {
        self.0[fact as usize] = Support::Always;
        self
    }

    /// The same, and `fact` is in some human verdicts.
    #[must_use]
    pub const fn sometimes(mut self, fact: FactKind) -> Self {
        self.0[fact as usize] = Support::Sometimes;
        self
    }

    /// How far `fact` can be relied on.
    pub const fn of(self, fact: FactKind) -> Support {
        self.0[fact as usize]
    }

    /// What can be relied on when either of two checks may answer: the lesser of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut both = self;
        for fact in FactKind::ALL {
            both.0[fact as usize] = self.of(fact).min(other.of(fact));
        }
        both
    }
}
