//! What comes of a request, and who is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{CheckError, ErrorKind, Provider, Reason, Submission, Verdict};

use crate::response::Responder;
use crate::{
    DecisionEvent, DenialReason, FromDecision, Guard, Human, Rejection, Signals, Unverified,
    Visitor,
};

/// A request that was looked at, and about which nobody was asked yet.
#[derive(Debug)]
#[must_use = "nothing is decided before it is settled"]
pub struct Pending {
    reply: Responder,
    evidence: Evidence,
    since: Instant,
}

#[derive(Debug)]
pub(crate) enum Evidence {
    Submitted(Submission),
    Absent {
        foreign: bool,
        /// `None` when every visitor is asked.
        signals: Option<Signals>,
    },
    Unusable(&'static str),
}

impl Pending {
    pub(crate) fn new(reply: Responder, evidence: Evidence, since: Instant) -> Self {
        Self {
            reply,
            evidence,
            since,
        }
    }

    /// Decides about a request that was decided once before, by a guard ahead of this one.
    ///
    /// Where that was the same guard, nothing is asked again: the token is spent, and a trigger has
    /// counted. What has come up since must agree with it.
    pub async fn decide_after(self, earlier: Option<&Decision>) -> Decision {
        let Some(earlier) = earlier else {
            return self.decide().await;
        };
        let guard = self.reply.guard();
        if !earlier.guard().ptr_eq(guard) {
            if earlier.asked.is_some() && matches!(self.evidence, Evidence::Submitted(_)) {
                tracing::warn!(
                    target: "human_check_guard",
                    route = guard.policy().name(),
                    before = earlier.guard().policy().name(),
                    "a token is asked about under a second policy; most providers take it only once"
                );
            }
            return self.decide().await;
        }
        let contradicts = match (&self.evidence, &earlier.asked) {
            (Evidence::Absent { .. }, _) => false,
            (Evidence::Unusable(_), _) => true,
            (Evidence::Submitted(_), None) => return self.decide().await,
            (Evidence::Submitted(now), Some(asked)) => !is_covered(guard, now, asked),
        };
        if !contradicts {
            return earlier.clone();
        }
        let result = guard.enforced(Err(DenialReason::InvalidToken));
        let decision = decision_name(&result);
        guard.observe(decision, "", "contradictory", Duration::ZERO, Weight::Usual);
        Decision {
            result,
            reply: self.reply,
            asked: earlier.asked.clone(),
        }
    }

    /// Decides, asking the check if there is something to ask about.
    ///
    /// Dropping the future stops waiting. The provider may have spent the token by then.
    pub async fn decide(self) -> Decision {
        let Self {
            reply,
            evidence,
            since,
        } = self;
        let guard = reply.guard();
        let policy = guard.policy();
        let mut asked = None;
        let (result, provider, reason) = match evidence {
            Evidence::Unusable(why) => (Err(DenialReason::InvalidToken), None, why),
            Evidence::Absent { foreign, signals } => {
                let reason = if foreign { "foreign-token" } else { "" };
                let challenged = match &signals {
                    None => true,
                    Some(signals) => policy.trigger.asks(signals).await,
                };
                match challenged {
                    true => (Err(DenialReason::ChallengeRequired), None, reason),
                    false => (
                        Ok(Visitor::Unverified(Unverified::NotChallenged)),
                        None,
                        reason,
                    ),
                }
            }
            Evidence::Submitted(submission) => {
                let submission = &**asked.insert(Arc::new(submission));
                decide(guard, submission).await
            }
        };
        let result = guard.enforced(result);
        let decision = decision_name(&result);
        let reason = match &result {
            Ok(Visitor::Unverified(Unverified::Observed(denial))) if reason.is_empty() => {
                denial.name()
            }
            _ => reason,
        };
        let provider = match (&provider, &result) {
            (Some(provider), _) => provider.name(),
            (None, Ok(Visitor::Human(human))) => human.facts().provider.name(),
            _ => "",
        };
        let weight = Weight::of(&result);
        guard.observe(decision, provider, reason, since.elapsed(), weight);
        Decision {
            result,
            reply,
            asked,
        }
    }
}

/// Whether every token that is there now was asked about.
fn is_covered(guard: &Guard, now: &Submission, asked: &Submission) -> bool {
    let accepted = guard.fields().providers().iter();
    let mut present = accepted.filter(|known| now.has_token_for(known));
    present.all(|known| {
        let [now, asked] = [now, asked].map(|submission| submission.token_for(known, usize::MAX));
        now.is_ok_and(|now| asked.is_ok_and(|asked| now == asked))
    })
}

type Decided = (
    Result<Visitor, DenialReason>,
    Option<Provider>,
    &'static str,
);

async fn decide(guard: &Guard, submission: &Submission) -> Decided {
    match guard.check().check(submission).await {
        Ok(Verdict::Human(facts)) => (Ok(Visitor::Human(Human::new(facts))), None, ""),
        Ok(Verdict::NotHuman(refusal)) => {
            let provider = refusal.provider().cloned();
            let denial = match refusal.reason() {
                Reason::Malformed => DenialReason::InvalidToken,
                Reason::Missing => DenialReason::ChallengeRequired,
                _ => DenialReason::VerificationFailed,
            };
            (Err(denial), provider, refusal.reason().name())
        }
        Err(error) => {
            let provider = Some(error.provider().clone());
            let result = match error.kind() {
                kind if guard.policy().opens.on(kind) => {
                    Ok(Visitor::Unverified(Unverified::FailedOpen(kind)))
                }
                ErrorKind::Misconfigured => Err(DenialReason::Misconfigured),
                _ => Err(unavailable(&error)),
            };
            (result, provider, error.reason())
        }
    }
}

fn unavailable(error: &CheckError) -> DenialReason {
    DenialReason::Unavailable {
        retry_after: error.retry_after(),
        token_spent: error.token_may_be_spent(),
    }
}

/// What was decided about a request, and how it would be answered.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody in"]
pub struct Decision {
    result: Result<Visitor, DenialReason>,
    reply: Responder,
    /// What the check was asked about, so that its token may be spent.
    asked: Option<Arc<Submission>>,
}

impl Decision {
    /// Takes what the handler demands, or the refusal to answer with.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the decision is not what is demanded.
    pub fn require<D: FromDecision>(self) -> Result<D, Rejection> {
        D::from_decision(self)
    }

    /// The guard that decided.
    pub fn guard(&self) -> &Guard {
        self.reply.guard()
    }

    /// What was decided.
    ///
    /// # Errors
    ///
    /// The [`DenialReason`], if the visitor is refused.
    pub fn result(&self) -> Result<&Visitor, DenialReason> {
        self.result.as_ref().map_err(|denial| *denial)
    }

    /// The answer for somebody refused for `denial`.
    pub(crate) fn refuse(&self, denial: DenialReason) -> Rejection {
        self.reply.refuse(denial)
    }

    /// Takes what was decided, ready to be answered.
    pub(crate) fn into_result(self) -> Result<Visitor, Rejection> {
        let Self { result, reply, .. } = self;
        result.map_err(|denial| reply.refuse(denial))
    }
}

impl Guard {
    pub(crate) fn observe(
        &self,
        decision: &'static str,
        provider: &str,
        reason: &'static str,
        elapsed: Duration,
        weight: Weight,
    ) {
        let event = DecisionEvent {
            route: self.policy().name(),
            decision,
            provider,
            reason,
            elapsed,
        };
        for observer in &self.site().observers {
            observer.on_decision(&event);
        }
        macro_rules! emit {
            ($level:expr) => {
                tracing::event!(
                    target: "human_check_guard",
                    $level,
                    route = event.route,
                    decision,
                    provider,
                    reason,
                    elapsed_ms = elapsed.as_millis() as u64,
                )
            };
        }
        match weight {
            Weight::OurMistake => emit!(tracing::Level::ERROR),
            Weight::NobodyKnows => emit!(tracing::Level::WARN),
            Weight::Usual => emit!(tracing::Level::DEBUG),
        }
    }

    /// What comes of a decision, where the route may only observe.
    fn enforced(&self, result: Result<Visitor, DenialReason>) -> Result<Visitor, DenialReason> {
        match result {
            Err(denial) if self.policy().observe_only => {
                Ok(Visitor::Unverified(Unverified::Observed(denial)))
            }
            result => result,
        }
    }
}

fn decision_name(result: &Result<Visitor, DenialReason>) -> &'static str {
    match result {
        Ok(Visitor::Human(_)) => "human",
        Ok(Visitor::Unverified(why)) => why.name(),
        Err(denial) => denial.name(),
    }
}

/// How loudly a decision is told.
#[derive(Clone, Copy)]
pub(crate) enum Weight {
    Usual,
    NobodyKnows,
    OurMistake,
}

impl Weight {
    pub(crate) fn of(result: &Result<Visitor, DenialReason>) -> Self {
        let denial = match result {
            Ok(Visitor::Unverified(Unverified::FailedOpen(_))) => return Self::NobodyKnows,
            // What would have been refused is as grave as if it had been.
            Ok(Visitor::Unverified(Unverified::Observed(denial))) | Err(denial) => denial,
            Ok(_) => return Self::Usual,
        };
        match denial {
            DenialReason::Misconfigured => Self::OurMistake,
            DenialReason::Unavailable { .. } => Self::NobodyKnows,
            _ => Self::Usual,
        }
    }
}
