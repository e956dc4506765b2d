use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use human_check_core::{CheckError, ErrorKind, Provider, Reason, Submission, Verdict};

use crate::decision::report::{self, Severity, decision_name};
use crate::decision::{Decision, Inspected};
use crate::snapshot::Snapshot;
use crate::tokens::{Sorted, SubmittedTokens};
use crate::{DenialReason, Human, Signals, Unverified, Visitor};

/// A request with all its tokens, about which the guard has not decided yet.
///
/// [`Inspected::with_tokens`](crate::integration::Inspected::with_tokens) creates it.
#[derive(Debug)]
#[must_use = "a pending request is not decided yet"]
pub struct Pending {
    inspected: Box<Inspected>,
    evidence: Evidence,
}

/// What the request offers as evidence of a human.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// Tokens of accepted providers.
    Submitted(Submission),
    /// No token of an accepted provider.
    Absent {
        /// Whether there is a token of a provider that is not accepted.
        foreign: bool,
        /// The type that the body was read as, if it has no place for a token.
        type_without_place: Option<&'static str>,
        /// `None` if every request is challenged.
        signals: Option<Signals>,
    },
    /// Tokens that cannot be used. The text is the reason for the log.
    Unusable(&'static str),
}

impl Inspected {
    /// Adds the tokens of the body, and returns the request ready to be decided.
    ///
    /// Tokens in the header and in the body must agree. Two different tokens of one provider are
    /// refused with [`DenialReason::InvalidToken`], and the provider is not called. Pass
    /// [`SubmittedTokens::none`] for a request whose body is not read.
    pub fn with_tokens(self, body: SubmittedTokens) -> Pending {
        Box::new(self).add_tokens(body)
    }

    /// Does the same without a move of the request, which is large.
    pub(crate) fn add_tokens(mut self: Box<Self>, body: SubmittedTokens) -> Pending {
        self.tokens.append(body);
        let type_without_place = self.tokens.type_without_place();
        let guard = self.responder.guard();
        let evidence = match std::mem::take(&mut self.tokens).sort(guard.fields()) {
            Sorted::Unusable => Evidence::Unusable("contradictory"),
            Sorted::Submitted(mut submission) => {
                if let Some(action) = &guard.policy().action {
                    submission = submission.with_expected_action(action.clone());
                }
                if let Some(ip) = self.client_ip.filter(|ip| is_public(*ip)) {
                    submission = submission.with_client_ip(ip);
                }
                if let Some(agent) = self.user_agent.take() {
                    submission = submission.with_user_agent(agent);
                }
                Evidence::Submitted(submission)
            }
            Sorted::Absent { foreign } => Evidence::Absent {
                foreign,
                type_without_place,
                signals: self.method.take().map(|method| Signals {
                    client_ip: self.client_ip,
                    user_agent: self.user_agent.take(),
                    country: self.country.take(),
                    method,
                }),
            },
        };
        Pending::new(self, evidence)
    }
}

impl Pending {
    /// Creates a pending request.
    pub(crate) fn new(inspected: Box<Inspected>, evidence: Evidence) -> Self {
        Self {
            inspected,
            evidence,
        }
    }

    /// Decides about a request, after an `earlier` decision about the same request if there was
    /// one.
    ///
    /// If the same guard made the earlier decision, that decision holds: the check is not called
    /// again, because most providers accept a token once, and a trigger does not count the request
    /// again. A token that was not part of the earlier decision is refused with
    /// [`DenialReason::InvalidToken`] if it contradicts it. If the earlier decision was made
    /// without a token and one has come up since, the check is called.
    ///
    /// A decision of another guard proves nothing here. This method then decides anew, and logs a
    /// warning if a token is verified a second time, once for each pair of routes.
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    pub async fn decide_after(self, earlier: Option<&Decision>) -> Decision {
        let Some(earlier) = earlier else {
            return self.decide().await;
        };
        let guard = self.inspected.responder.guard();
        if earlier.guard().identity() != guard.identity() {
            if earlier.submission.is_some() && matches!(self.evidence, Evidence::Submitted(_)) {
                let before = earlier.guard().policy().name();
                report::second_policy(guard.policy().name(), before);
            }
            return self.decide().await;
        }
        let contradicts = match (&self.evidence, &earlier.submission) {
            (Evidence::Absent { .. }, _) => false,
            (Evidence::Unusable(_), _) => true,
            (Evidence::Submitted(_), None) => return self.decide().await,
            (Evidence::Submitted(now), Some(before)) => !is_covered(guard, now, before),
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
            Instant::now(),
            Severity::Normal,
        );
        Decision {
            result,
            responder: self.inspected.responder,
            submission: earlier.submission.clone(),
        }
    }

    /// Decides about the request. It calls the check if the request has a usable token.
    ///
    /// Without a token the policy's trigger decides whether the request is refused with
    /// [`DenialReason::ChallengeRequired`]. The decision is logged and passed to the observers.
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    pub async fn decide(self) -> Decision {
        let Self {
            inspected,
            evidence,
        } = self;
        let guard = inspected.responder.guard();
        let policy = guard.policy();
        let mut submitted = None;
        let (result, provider, reason) = match evidence {
            Evidence::Unusable(why) => (Err(DenialReason::InvalidToken), None, why),
            Evidence::Absent {
                foreign,
                type_without_place,
                signals,
            } => {
                let reason = if foreign { "foreign-token" } else { "" };
                let challenged = match &signals {
                    None => true,
                    Some(signals) => policy.trigger.challenges(signals).await,
                };
                if let Some(name) = type_without_place.filter(|_| challenged) {
                    report::type_without_place(policy.name(), name);
                }
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
                let submission = &**submitted.insert(Arc::new(submission));
                decide(guard, submission, inspected.client_ip()).await
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
        let severity = Severity::of(&result);
        let since = inspected.since;
        report::observe(guard, decision, provider, reason, since, severity);
        Decision {
            result,
            responder: inspected.responder,
            submission: submitted,
        }
    }
}

/// Whether an address is public. A provider sees the visitor by a public address, so a private one
/// must not be passed on: it could make the provider refuse the token.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

/// Returns whether every token of `now` was part of the submission that the check was called with
/// before.
fn is_covered(guard: &Snapshot, now: &Submission, before: &Submission) -> bool {
    let accepted = guard.fields().providers().iter();
    let mut present = accepted.filter(|known| now.has_token_for(known));
    present.all(|known| {
        let [now, before] = [now, before].map(|submission| submission.token_for(known, usize::MAX));
        now.is_ok_and(|now| before.is_ok_and(|before| now == before))
    })
}

/// The decision, the provider it is attributed to, and the reason for the log.
type Decided = (
    Result<Visitor, DenialReason>,
    Option<Provider>,
    &'static str,
);

/// Calls the check and translates its outcome by the policy.
async fn decide(guard: &Snapshot, submission: &Submission, client_ip: Option<IpAddr>) -> Decided {
    let (site, route) = (guard.site(), guard.policy().name());
    let mut submitted = guard.fields().providers().iter();
    let token = submitted.find_map(|known| submission.token_for(known, usize::MAX).ok());
    let twin = token.map(|token| site.twins.enter(token));
    match guard.check().check(submission).await {
        Ok(Verdict::Human(facts)) => {
            site.streaks.passed(route, &facts);
            if let Some(twin) = twin {
                twin.passed();
            }
            (Ok(Visitor::Human(Human::new(facts))), None, "")
        }
        Ok(Verdict::NotHuman(refusal)) => {
            site.streaks.refused(route, &refusal, client_ip);
            let provider = refusal.provider().cloned();
            let is_twin = twin.is_some_and(|twin| twin.has_another());
            let denial = match refusal.reason() {
                Reason::ExpiredOrReplayed | Reason::Replayed if is_twin => {
                    DenialReason::AlreadySubmitted
                }
                Reason::Malformed => DenialReason::InvalidToken,
                Reason::Missing => DenialReason::ChallengeRequired,
                _ => DenialReason::VerificationFailed,
            };
            (Err(denial), provider, refusal.reason().as_str())
        }
        Err(error) => {
            let provider = Some(error.provider().clone());
            let result = match error.kind() {
                kind if guard.policy().fail_open.applies_to(kind) => {
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

/// Returns the result that has effect: on a route that only observes, a refusal lets the request
/// through.
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
