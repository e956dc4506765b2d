//! What comes of a request, and who is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{CheckError, ErrorKind, Provider, Reason, Submission, Verdict};

use crate::answer::Reply;
use crate::{DecisionEvent, Demand, Denial, Guard, Human, Refused, Signals, Unproven, Visitor};

/// A request that was looked at, and about which nobody was asked yet.
#[derive(Debug)]
#[must_use = "nothing is decided before it is settled"]
pub struct Examined {
    reply: Reply,
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

impl Examined {
    pub(crate) fn new(reply: Reply, evidence: Evidence, since: Instant) -> Self {
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
    pub async fn settle_after(self, earlier: Option<&Outcome>) -> Outcome {
        let Some(earlier) = earlier else {
            return self.settle().await;
        };
        let guard = self.reply.guard();
        if !earlier.guard().is(guard) {
            if earlier.asked.is_some() && matches!(self.evidence, Evidence::Submitted(_)) {
                tracing::warn!(
                    target: "human_check_guard",
                    route = guard.policy().name(),
                    before = earlier.guard().policy().name(),
                    "a token is asked about under a second policy; most vendors take it only once"
                );
            }
            return self.settle().await;
        }
        let contradicts = match (&self.evidence, &earlier.asked) {
            (Evidence::Absent { .. }, _) => false,
            (Evidence::Unusable(_), _) => true,
            (Evidence::Submitted(_), None) => return self.settle().await,
            (Evidence::Submitted(now), Some(asked)) => !is_covered(guard, now, asked),
        };
        if !contradicts {
            return earlier.clone();
        }
        let result = guard.enforced(Err(Denial::InvalidToken));
        let decision = decision_name(&result);
        guard.observe(decision, "", "contradictory", Duration::ZERO, Weight::Usual);
        Outcome {
            result,
            reply: self.reply,
            asked: earlier.asked.clone(),
        }
    }

    /// Decides, asking the check if there is something to ask about.
    ///
    /// Dropping the future stops waiting. The vendor may have spent the token by then.
    pub async fn settle(self) -> Outcome {
        let Self {
            reply,
            evidence,
            since,
        } = self;
        let guard = reply.guard();
        let policy = guard.policy();
        let mut asked = None;
        let (result, provider, reason) = match evidence {
            Evidence::Unusable(why) => (Err(Denial::InvalidToken), None, why),
            Evidence::Absent { foreign, signals } => {
                let reason = if foreign { "foreign-token" } else { "" };
                let challenged = match &signals {
                    None => true,
                    Some(signals) => policy.trigger.asks(signals).await,
                };
                match challenged {
                    true => (Err(Denial::ChallengeRequired), None, reason),
                    false => (Ok(Visitor::Unproven(Unproven::NotChallenged)), None, reason),
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
            Ok(Visitor::Unproven(Unproven::Observed(denial))) if reason.is_empty() => denial.name(),
            _ => reason,
        };
        let provider = match (&provider, &result) {
            (Some(provider), _) => provider.name(),
            (None, Ok(Visitor::Human(human))) => human.facts().provider.name(),
            _ => "",
        };
        let weight = Weight::of(&result);
        guard.observe(decision, provider, reason, since.elapsed(), weight);
        Outcome {
            result,
            reply,
            asked,
        }
    }
}

/// Whether every token that is there now was asked about.
fn is_covered(guard: &Guard, now: &Submission, asked: &Submission) -> bool {
    let accepted = guard.fields().providers().iter();
    let mut present = accepted.filter(|known| now.answers(known));
    present.all(|known| {
        let [now, asked] = [now, asked].map(|submission| submission.token(known, usize::MAX));
        now.is_ok_and(|now| asked.is_ok_and(|asked| now == asked))
    })
}

type Decided = (Result<Visitor, Denial>, Option<Provider>, &'static str);

async fn decide(guard: &Guard, submission: &Submission) -> Decided {
    match guard.check().check(submission).await {
        Ok(Verdict::Human(facts)) => (Ok(Visitor::Human(Human::new(facts))), None, ""),
        Ok(Verdict::NotHuman(refusal)) => {
            let provider = refusal.provider().cloned();
            let denial = match refusal.reason() {
                Reason::Malformed => Denial::InvalidToken,
                Reason::Missing => Denial::ChallengeRequired,
                _ => Denial::VerificationFailed,
            };
            (Err(denial), provider, refusal.reason().name())
        }
        Err(error) => {
            let provider = Some(error.provider().clone());
            let result = match error.kind() {
                kind if guard.policy().opens.on(kind) => {
                    Ok(Visitor::Unproven(Unproven::Undecided(kind)))
                }
                ErrorKind::Misconfigured => Err(Denial::Misconfigured),
                _ => Err(unavailable(&error)),
            };
            (result, provider, error.reason())
        }
    }
}

fn unavailable(error: &CheckError) -> Denial {
    Denial::Unavailable {
        retry_after: error.retry_after(),
        token_spent: error.token_may_be_spent(),
    }
}

/// What was decided about a request, and how it would be answered.
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody looks at lets everybody in"]
pub struct Outcome {
    result: Result<Visitor, Denial>,
    reply: Reply,
    /// What the check was asked about, so that its token may be spent.
    asked: Option<Arc<Submission>>,
}

impl Outcome {
    /// Takes what the handler demands, or the refusal to answer with.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the outcome is not what is demanded.
    pub fn demand<D: Demand>(self) -> Result<D, Refused> {
        D::of(self)
    }

    /// The guard that decided.
    pub fn guard(&self) -> &Guard {
        self.reply.guard()
    }

    /// What was decided.
    ///
    /// # Errors
    ///
    /// The [`Denial`], if the visitor is refused.
    pub fn result(&self) -> Result<&Visitor, Denial> {
        self.result.as_ref().map_err(|denial| *denial)
    }

    /// The answer for somebody refused for `denial`.
    pub(crate) fn refuse(&self, denial: Denial) -> Refused {
        self.reply.refuse(denial)
    }

    /// Takes what was decided, ready to be answered.
    pub(crate) fn into_result(self) -> Result<Visitor, Refused> {
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
    fn enforced(&self, result: Result<Visitor, Denial>) -> Result<Visitor, Denial> {
        match result {
            Err(denial) if self.policy().observe_only => {
                Ok(Visitor::Unproven(Unproven::Observed(denial)))
            }
            result => result,
        }
    }
}

fn decision_name(result: &Result<Visitor, Denial>) -> &'static str {
    match result {
        Ok(Visitor::Human(_)) => "human",
        Ok(Visitor::Unproven(why)) => why.name(),
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
    pub(crate) fn of(result: &Result<Visitor, Denial>) -> Self {
        let denial = match result {
            Ok(Visitor::Unproven(Unproven::Undecided(_))) => return Self::NobodyKnows,
            // What would have been refused is as grave as if it had been.
            Ok(Visitor::Unproven(Unproven::Observed(denial))) | Err(denial) => denial,
            Ok(_) => return Self::Usual,
        };
        match denial {
            Denial::Misconfigured => Self::OurMistake,
            Denial::Unavailable { .. } => Self::NobodyKnows,
            _ => Self::Usual,
        }
    }
}
