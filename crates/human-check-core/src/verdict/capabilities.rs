use std::fmt;

/// A kind of fact that a human verdict may carry and that a policy may require.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FactKind {
    /// The action that the challenge was solved for, such as `signup`.
    Action,
    /// The value that the challenge was bound to, such as a session id.
    Binding,
    /// Where the challenge was shown: a host name, or the package name or bundle id of an app.
    Hostname,
    /// The score: how human the visitor looked.
    Score,
    /// The time when the challenge was solved.
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

    /// Returns the name of the fact in messages, such as `hostname`.
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

/// How many of a check's human verdicts carry a fact: none, some or all.
///
/// The order is `Never`, `Sometimes`, `Always`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Support {
    /// No human verdict is known to carry it. A policy that requires it is an error when it is
    /// attached: it would refuse every visitor, or every visitor of one of several providers.
    Never,
    /// Some human verdicts carry it. A policy may require it, and refuses the verdicts without it.
    Sometimes,
    /// Every human verdict carries it.
    Always,
}

/// Which facts the human verdicts of a check carry.
///
/// A check returns it from [`HumanCheck::capabilities`](crate::HumanCheck::capabilities). A policy
/// is compared with it when it is attached. The conformance suite selects its tests by it.
///
/// ```
/// use human_check_core::{Capabilities, FactKind, Support};
///
/// const ACME: Capabilities = Capabilities::nothing()
///     .always(FactKind::Hostname)
///     .sometimes(FactKind::Action);
/// assert_eq!(ACME.of(FactKind::Hostname), Support::Always);
/// assert_eq!(ACME.of(FactKind::Score), Support::Never);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities([Support; FactKind::ALL.len()]);

impl Capabilities {
    /// Creates capabilities without any fact: verdicts that only say yes or no.
    pub const fn nothing() -> Self {
        Self([Support::Never; FactKind::ALL.len()])
    }

    /// Sets that every human verdict carries `fact`.
    ///
    /// It is a guarantee: the check must refuse a reply without the fact.
    #[must_use]
    pub const fn always(mut self, fact: FactKind) -> Self {
        self.0[fact as usize] = Support::Always;
        self
    }

    /// Sets that some human verdicts carry `fact`.
    #[must_use]
    pub const fn sometimes(mut self, fact: FactKind) -> Self {
        self.0[fact as usize] = Support::Sometimes;
        self
    }

    /// Returns how many of the human verdicts carry `fact`.
    pub const fn of(self, fact: FactKind) -> Support {
        self.0[fact as usize]
    }

    /// Returns the capabilities of a check that may return the verdicts of either of two checks.
    ///
    /// For each fact it is the lesser of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut both = self;
        for fact in FactKind::ALL {
            both.0[fact as usize] = self.of(fact).min(other.of(fact));
        }
        both
    }
}
