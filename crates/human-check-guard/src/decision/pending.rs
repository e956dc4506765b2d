use std::sync::Arc;
use std::time::{Duration, Instant};

use human_check_core::{CheckError, ErrorKind, Provider, Reason, Submission, Verdict};

use crate::decision::Decision;
use crate::decision::report::{self, Weight, decision_name};
use crate::decision::responder::Responder;
use crate::snapshot::Snapshot;
use crate::{DenialReason, Human, Signals, Unverified, Visitor};

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
        if earlier.guard().identity() != guard.identity() {
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
        let result = enforced(guard, Err(DenialReason::InvalidToken));
        let decision = decision_name(&result);
        report::observe(
            guard,
            decision,
            "",
            "contradictory",
            Duration::ZERO,
            Weight::Usual,
        );
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
        let result = enforced(guard, result);
        let decision = decision_name(&result);
        let reason = match &result {
            Ok(Visitor::Unverified(Unverified::Observed(denial))) if reason.is_empty() => {
                denial.as_str()
            }
            _ => reason,
        };
        let provider = match (&provider, &result) {
            (Some(provider), _) => provider.name(),
            (None, Ok(Visitor::Human(human))) => human.facts().provider.name(),
            _ => "",
        };
        let weight = Weight::of(&result);
        report::observe(guard, decision, provider, reason, since.elapsed(), weight);
        Decision {
            result,
            reply,
            asked,
        }
    }
}

/// Whether every token that is there now was asked about.
fn is_covered(guard: &Snapshot, now: &Submission, asked: &Submission) -> bool {
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

async fn decide(guard: &Snapshot, submission: &Submission) -> Decided {
    match guard.check().check(submission).await {
        Ok(Verdict::Human(facts)) => (Ok(Visitor::Human(Human::new(facts))), None, ""),
        Ok(Verdict::NotHuman(refusal)) => {
            let provider = refusal.provider().cloned();
            let denial = match refusal.reason() {
                Reason::Malformed => DenialReason::InvalidToken,
                Reason::Missing => DenialReason::ChallengeRequired,
                _ => DenialReason::VerificationFailed,
            };
            (Err(denial), provider, refusal.reason().as_str())
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
        token_used: error.token_may_be_used(),
    }
}

/// What comes of a decision, where the route may only observe.
fn enforced(
    guard: &Snapshot,
    result: Result<Visitor, DenialReason>,
) -> Result<Visitor, DenialReason> {
    match result {
        Err(denial) if guard.policy().observe_only => {
            Ok(Visitor::Unverified(Unverified::Observed(denial)))
        }
        result => result,
    }
}
