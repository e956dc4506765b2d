use std::fmt;

use crate::{FactKind, Facts, Provider};

/// A visitor who did not pass, and why.
///
/// The reason is for operators. A visitor is told only that the check failed: which test it was
/// would help an attacker probe.
#[derive(Clone, Debug)]
pub struct Refusal {
    reason: Reason,
    codes: Vec<String>,
    facts: Option<Box<Facts>>,
    provider: Option<Provider>,
    alert: bool,
}

impl Refusal {
    /// A refusal for `reason`.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            codes: Vec::new(),
            facts: None,
            provider: None,
            alert: false,
        }
    }

    /// The same with the provider's own codes.
    #[must_use]
    pub fn with_codes(mut self, codes: Vec<String>) -> Self {
        self.codes = codes;
        self
    }

    /// The same with what the provider said about the visitor nevertheless.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = Some(Box::new(facts));
        self
    }

    /// The same with who refused, where nothing says so yet. For combinators of several providers.
    #[must_use]
    pub fn with_provider(mut self, provider: &Provider) -> Self {
        if self.provider().is_none() {
            self.provider = Some(provider.clone());
        }
        self
    }

    /// The same, marked for the site's owner: a visitor can provoke it, but when it happens to
    /// everybody our configuration is wrong.
    #[must_use]
    pub fn with_alert(mut self) -> Self {
        self.alert = true;
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The provider's own codes, in the provider's order. An open set; match on [`reason`](Self::reason).
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// What the provider said about the visitor, where it said anything.
    ///
    /// A score that was too low is here, for routes that want to offer a harder challenge.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Who refused, where that is known: a provider that said nothing else of the visitor names itself
    /// only behind a check of several.
    pub fn provider(&self) -> Option<&Provider> {
        let by_facts = self.facts.as_ref().map(|facts| &facts.provider);
        self.provider.as_ref().or(by_facts)
    }

    /// Whether the site's owner should hear of it.
    pub fn is_alert(&self) -> bool {
        self.alert
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not verified as human: {}", self.reason)
    }
}

/// Why a visitor did not pass.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A policy or an expectation needs a fact that the verdict does not carry.
    EvidenceAbsent(FactKind),
    /// The token is too old for its provider.
    Expired,
    /// The provider does not tell age and reuse apart.
    ExpiredOrReplayed,
    /// The provider does not know the token, or the challenge was failed.
    Invalid,
    /// Not a token: oversized, with characters no token has, or several that contradict.
    Malformed,
    /// No token arrived.
    Missing,
    /// The provider refused without saying why, or with a code this library does not know.
    Other,
    /// The score is under the threshold.
    ScoreTooLow,
    /// The challenge was solved in the future, further than clocks may differ.
    SolvedInFuture,
    /// The token was verified before.
    Replayed,
    /// The answer belongs to testing keys, which were not allowed.
    TestKey,
    /// The challenge was solved too long ago for the policy.
    TooOld,
    /// A kind of token that nobody can verify, or that this check was told not to accept.
    UnverifiableToken,
    /// Solved for another action.
    WrongAction,
    /// Solved from another network address.
    WrongAddress,
    /// Solved for another user or session.
    WrongBinding,
    /// Solved on a host or in an app that is not ours.
    WrongHostname,
    /// Made for another site key.
    WrongSiteKey,
}

impl Reason {
    /// A short name of a fixed set, fit for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EvidenceAbsent(FactKind::Action) => "action-absent",
            Self::EvidenceAbsent(FactKind::Binding) => "binding-absent",
            Self::EvidenceAbsent(FactKind::Hostname) => "hostname-absent",
            Self::EvidenceAbsent(FactKind::Score) => "score-absent",
            Self::EvidenceAbsent(FactKind::SolvedAt) => "solve-time-absent",
            Self::Expired => "expired",
            Self::ExpiredOrReplayed => "expired-or-replayed",
            Self::Invalid => "invalid",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Other => "other",
            Self::ScoreTooLow => "score-too-low",
            Self::SolvedInFuture => "solved-in-future",
            Self::Replayed => "replayed",
            Self::TestKey => "test-key",
            Self::TooOld => "too-old",
            Self::UnverifiableToken => "unverifiable-token",
            Self::WrongAction => "wrong-action",
            Self::WrongAddress => "wrong-address",
            Self::WrongBinding => "wrong-binding",
            Self::WrongHostname => "wrong-hostname",
            Self::WrongSiteKey => "wrong-site-key",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
