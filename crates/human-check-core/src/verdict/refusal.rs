use std::fmt;

use crate::{FactKind, Facts, Provider};

/// The verdict that a visitor did not pass: the reason, the provider's codes, and what is known.
///
/// All of it is for the operator. Tell the visitor only that the check failed: the reason would
/// help an attacker to find a way around it.
///
/// ```
/// use human_check_core::{Reason, Refusal, Verdict};
///
/// let refusal = Refusal::new(Reason::Invalid).with_codes(vec!["invalid-input-response".into()]);
/// assert_eq!(refusal.reason().as_str(), "invalid");
/// let verdict: Verdict = refusal.into();
/// assert!(!verdict.is_human());
/// ```
#[derive(Clone, Debug)]
pub struct Refusal {
    reason: Reason,
    codes: Vec<String>,
    facts: Option<Box<Facts>>,
    provider: Option<Provider>,
    alert: bool,
    only_score_too_low: bool,
    expected: Option<Box<str>>,
}

impl Refusal {
    /// Creates a refusal for `reason`.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            codes: Vec::new(),
            facts: None,
            provider: None,
            alert: false,
            only_score_too_low: false,
            expected: None,
        }
    }

    /// Creates a refusal for [`Reason::ScoreTooLow`] of a token for which everything else held.
    ///
    /// An adapter applies its rule for the score last, and returns this refusal with the facts.
    pub fn for_score_alone() -> Self {
        Self::new(Reason::ScoreTooLow).with_only_score_too_low(true)
    }

    /// Sets what the reply should have stated instead, such as the list of hosts. Default none.
    ///
    /// It is for the operator, who may have configured it wrongly, so it must not be a secret.
    #[must_use]
    pub fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into().into_boxed_str());
        self
    }

    /// Sets the provider's own codes. Default none.
    #[must_use]
    pub fn with_codes(mut self, codes: Vec<String>) -> Self {
        self.codes = codes;
        self
    }

    /// Sets what the provider reported about the visitor, such as a score that is too low. Default
    /// none.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = Some(Box::new(facts));
        self
    }

    /// Sets the provider that refused, unless the refusal already names one.
    ///
    /// For combinators of several providers.
    #[must_use]
    pub fn with_provider(mut self, provider: &Provider) -> Self {
        if self.provider().is_none() {
            self.provider = Some(provider.clone());
        }
        self
    }

    /// Marks the refusal as an alert for the operator.
    ///
    /// For refusals that a single visitor can provoke, but that point to a wrong configuration if
    /// they happen to every visitor.
    #[must_use]
    pub fn with_alert(mut self) -> Self {
        self.alert = true;
        self
    }

    /// Returns the reason of the refusal.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Returns the provider's own codes, in the provider's order.
    ///
    /// A provider may add codes at any time. Match on [`reason`](Self::reason) instead.
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// Returns what the provider reported about the visitor, if it reported anything.
    ///
    /// A score that was too low is here, for routes that step up to a stronger challenge.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Sets whether all rules held but that for the score.
    pub(crate) fn with_only_score_too_low(mut self, only: bool) -> Self {
        self.only_score_too_low = only;
        self
    }

    /// Returns what the provider reported, if a score below the threshold is the only reason of the
    /// refusal: every other rule of every policy held.
    ///
    /// A route may step up such a visitor to a stronger challenge. `None` for every other refusal.
    pub fn facts_but_for_score(&self) -> Option<&Facts> {
        self.facts().filter(|_| self.only_score_too_low)
    }

    /// Returns the provider that refused, if the refusal names it.
    ///
    /// A refusal without facts names its provider only if the check has several providers.
    pub fn provider(&self) -> Option<&Provider> {
        let by_facts = self.facts.as_ref().map(|facts| &facts.provider);
        self.provider.as_ref().or(by_facts)
    }

    /// Returns what the reply should have stated instead, if the refusal names it.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// Returns whether the refusal requires the operator's attention.
    pub fn is_alert(&self) -> bool {
        self.alert
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not verified as human: {}", self.reason)
    }
}

/// The reason why a visitor did not pass.
///
/// [`as_str`](Self::as_str) returns the name that logs and metrics show.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A policy or an expectation requires a fact that the verdict does not carry.
    EvidenceAbsent(FactKind),
    /// The provider reports that the token has expired.
    Expired,
    /// The token has expired or was verified before. The provider does not distinguish the two.
    ExpiredOrReplayed,
    /// The provider does not know the token, or the visitor failed the challenge.
    Invalid,
    /// The value cannot be a token: it is too long, has characters that no token has, or several
    /// values contradict each other.
    Malformed,
    /// No token arrived, or an empty one.
    Missing,
    /// The provider refused without a code, or with a code that this library does not know.
    Other,
    /// The score is below the threshold.
    ScoreTooLow,
    /// The challenge was solved in the future, by more than the policy's clock skew.
    SolvedInFuture,
    /// The token was used before.
    Replayed,
    /// The reply belongs to the provider's published test keys, which are not allowed.
    TestKey,
    /// The challenge was solved longer ago than the policy allows.
    TooOld,
    /// The kind of token cannot be verified, or this check is set up not to accept it.
    UnverifiableToken,
    /// The challenge was solved for another action.
    WrongAction,
    /// The challenge was solved from another network address.
    WrongAddress,
    /// The challenge was bound to another value, such as another session.
    WrongBinding,
    /// The challenge was solved on a host or in an app that the policy does not list.
    WrongHostname,
    /// The token belongs to another site key.
    WrongSiteKey,
}

impl Reason {
    /// Returns a short name from a fixed set, for logs and metric labels, such as `score-too-low`.
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
