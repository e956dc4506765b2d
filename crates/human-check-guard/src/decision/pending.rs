use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use human_check_core::{FunnelStep, ObservedOutcome, Submission};
use tracing::Instrument;

use crate::decision::judging::{self, Judged, Submitted, ValidOffer};
use crate::decision::report::{self, Observed, Severity, decision_name};
use crate::decision::{Decision, Inspected};
use crate::experiment::Carried;
use crate::selection::{Offer, Why, report_offer};
use crate::snapshot::Snapshot;
use crate::tokens::{FoundOffer, Sorted, SubmittedTokens};
use crate::{DenialReason, Signals, Unverified, Visitor};

/// A request with all its tokens, about which the guard has not decided yet.
///
/// [`Inspected::with_tokens`](crate::integration::Inspected::with_tokens) creates it.
#[derive(Debug)]
#[must_use = "a pending request is not decided yet"]
pub struct Pending {
    inspected: Box<Inspected>,
    evidence: Evidence,
}

/// What the request brings as evidence of a human.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// Tokens of the account that judges.
    Submitted(Submitted),
    /// No token of the account that would judge.
    Absent {
        /// The reason for the log: whether there is a token that does not count.
        reason: &'static str,
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
    ///
    /// A valid offer selects the account that judges, if the request has a token for it. Otherwise
    /// the primary account judges. Tokens of other accounts are ignored.
    pub fn with_tokens(self, body: SubmittedTokens) -> Pending {
        Box::new(self).add_tokens(body)
    }

    /// Does the same without a move of the request, which is large.
    pub(crate) fn add_tokens(mut self: Box<Self>, body: SubmittedTokens) -> Pending {
        self.tokens.append(body);
        let type_without_place = self.tokens.type_without_place();
        let guard = self.responder.guard();
        let (judge, offer, carried, crossed) = selected_judge(guard, self.list, &self.tokens);
        let accepted = &guard.judges().get(judge).accepted;
        let evidence = match std::mem::take(&mut self.tokens).sort(guard.fields(), accepted) {
            Sorted::Unusable => Evidence::Unusable("contradictory"),
            Sorted::Submitted(mut submission) => {
                if let Some(action) = &guard.policy().action
                    && guard.judges().get(judge).expects_action
                {
                    submission = submission.with_expected_action(action.clone());
                }
                submission = submission.with_route(Arc::clone(&guard.policy().name));
                if let Some(ip) = self.client_ip.filter(|ip| is_public(*ip)) {
                    submission = submission.with_client_ip(ip);
                }
                if let Some(agent) = self.user_agent.take() {
                    submission = submission.with_user_agent(agent);
                }
                Evidence::Submitted(Submitted {
                    judge,
                    offer,
                    carried: carried.clone(),
                    crossed,
                    submission: Arc::new(submission),
                })
            }
            Sorted::Absent { foreign, other } => Evidence::Absent {
                reason: match (foreign, other) {
                    (true, _) => "foreign-token",
                    (false, true) => "not-selected",
                    (false, false) => "",
                },
                type_without_place,
                signals: self.method.take().map(|method| Signals {
                    client_ip: self.client_ip,
                    user_agent: self.user_agent.take(),
                    country: self.country.take(),
                    method,
                }),
            },
        };
        self.responder.carry(carried);
        Pending::new(self, evidence)
    }
}

/// Returns the account that judges the request, the offer that selects it, and what a valid offer says
/// about a visitor of an experiment.
fn selected_judge(
    guard: &Snapshot,
    list: usize,
    tokens: &SubmittedTokens,
) -> (usize, Option<ValidOffer>, Option<Carried>, bool) {
    let (site, judges, now) = (guard.site(), guard.judges(), guard.now());
    let first = judges.first_of(list);
    let read = match tokens.offer() {
        None => None,
        Some(FoundOffer::Unusable(fault)) => Some(Err(*fault)),
        Some(FoundOffer::Text(text)) => {
            let offer = Offer::verify(text.as_bytes(), &site.keys, &guard.route(), now);
            Some(offer.and_then(|offer| {
                let judge = judges.named_by(&offer, list, now)?;
                Ok((judge, offer, text))
            }))
        }
    };
    let route = guard.policy().name();
    let mut carried = None;
    match read {
        None => {}
        Some(Err(fault)) => report_offer(route, "", fault.as_str()),
        Some(Ok((judge, offer, text))) => {
            let experiment = guard.experiment().filter(|_| list == 0);
            carried =
                experiment.and_then(|it| it.carried(&guard.policy().name, offer.nonce, offer.arm));
            let own = &judges.get(judge).own;
            // An offer without a token for it selects nothing.
            if tokens.has_any(guard.fields(), own) {
                report_offer(route, offer.why.as_str(), "accepted");
                let offer = (offer.why != Why::Primary).then(|| ValidOffer {
                    why: offer.why,
                    id: Offer::id_of(text),
                    text: text.clone(),
                });
                return (judge, offer, carried, false);
            }
        }
    }
    // Pages of the primary send an offer, so a token of its provider without one is the old account's.
    match judges.old(now).filter(|_| list == 0) {
        Some(old) if tokens.has_any(guard.fields(), &judges.get(old).own) => {
            (old, None, carried, true)
        }
        _ => (first, None, carried, true),
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
            if earlier.submitted.is_some() && matches!(self.evidence, Evidence::Submitted(_)) {
                let before = earlier.guard().policy().name();
                report::second_policy(guard.policy().name(), before);
            }
            return self.decide().await;
        }
        let contradicts = match (&self.evidence, &earlier.submitted) {
            (Evidence::Absent { .. }, _) => false,
            (Evidence::Unusable(_), _) => true,
            (Evidence::Submitted(_), None) => return self.decide().await,
            (Evidence::Submitted(now), Some(before)) => {
                now.judge != before.judge || !is_covered(guard, &now.submission, &before.submission)
            }
        };
        if !contradicts {
            let mut decision = earlier.clone();
            decision.responder.keep_form_of(self.inspected.responder);
            return decision;
        }
        let result = enforced(guard, Err(DenialReason::InvalidToken));
        let observed = Observed {
            reason: "contradictory",
            decision: decision_name(&result),
            ..Observed::of(DenialReason::InvalidToken)
        };
        report::observe(guard, &observed, Instant::now(), Severity::Normal);
        Decision {
            result,
            responder: self.inspected.responder,
            submitted: earlier.submitted.clone(),
        }
    }

    /// Decides about the request. It calls the check if the request has a usable token.
    ///
    /// Without a token the policy's trigger decides whether the request is refused with
    /// [`DenialReason::ChallengeRequired`]. The decision is logged and passed to the observers.
    ///
    /// It runs in a span of tracing, `human_check.decision`, with the fields `route`, `decision`, `provider`
    /// and `reason`.
    ///
    /// Dropping the future stops waiting. The provider may have used up the token by then.
    pub async fn decide(self) -> Decision {
        let span = tracing::info_span!(
            target: "human_check_guard",
            "human_check.decision",
            route = self.inspected.responder.guard().policy().name(),
            decision = tracing::field::Empty,
            provider = tracing::field::Empty,
            reason = tracing::field::Empty,
        );
        self.decide_in_span().instrument(span).await
    }

    async fn decide_in_span(self) -> Decision {
        let Self {
            inspected,
            evidence,
        } = self;
        let Inspected {
            mut responder,
            list,
            client_ip,
            clearances,
            session,
            since,
            ..
        } = *inspected;
        let guard = responder.guard().clone();
        let policy = guard.policy();
        let mut submitted = None;
        let judged = match evidence {
            Evidence::Unusable(why) => {
                judging::without_token(&guard, list, DenialReason::InvalidToken, why)
            }
            Evidence::Absent {
                reason,
                type_without_place,
                signals,
            } => match judging::cleared(&guard, clearances).await {
                Some(cleared) => Judged::without_call(Ok(Visitor::Cleared(cleared)), reason),
                None => {
                    let challenged = match &signals {
                        None => true,
                        Some(signals) => policy.trigger.challenges(signals).await,
                    };
                    if let Some(name) = type_without_place.filter(|_| challenged) {
                        report::type_without_place(policy.name(), name);
                    }
                    match challenged {
                        false => Judged::without_call(
                            Ok(Visitor::Unverified(Unverified::NotChallenged)),
                            reason,
                        ),
                        true => judging::without_token(
                            &guard,
                            list,
                            DenialReason::ChallengeRequired,
                            reason,
                        ),
                    }
                }
            },
            Evidence::Submitted(submission) => {
                let submission = submitted.insert(submission);
                judging::with_token(&guard, list, submission, client_ip, session).await
            }
        };
        if let Some(submitted) = &submitted {
            record_judged(&guard, submitted, &judged, since);
        }
        let result = enforced(&guard, judged.result);
        if let Some(shown) = judged.shown {
            responder.show(shown);
        }
        let reason = match &result {
            Ok(Visitor::Unverified(Unverified::Observed(denial))) if judged.reason.is_empty() => {
                denial.as_str()
            }
            _ => judged.reason,
        };
        let provider = match (&judged.provider, &result) {
            (Some(provider), _) => provider.name(),
            (None, Ok(Visitor::Human(human))) => human.facts().provider.name(),
            _ => "",
        };
        let account = judged
            .judge
            .map(|judge| guard.judges().get(judge).account.name());
        let observed = Observed {
            decision: decision_name(&result),
            provider,
            reason,
            account: account.unwrap_or_default(),
            why: judged.why.map(Why::as_str).unwrap_or_default(),
        };
        let span = tracing::Span::current();
        span.record("decision", observed.decision);
        span.record("provider", provider);
        span.record("reason", reason);
        report::observe(&guard, &observed, since, Severity::of(&result));
        Decision {
            result,
            responder,
            submitted,
        }
    }
}

/// Records the verdict about a visitor of an experiment.
fn record_judged(guard: &Snapshot, submitted: &Submitted, judged: &Judged, since: Instant) {
    let (Some(experiment), Some(carried)) = (guard.experiment(), &submitted.carried) else {
        return;
    };
    let account = &guard.judges().get(submitted.judge).account;
    let outcome = match &judged.result {
        Ok(Visitor::Human(_)) => ObservedOutcome::Human,
        Ok(_) => failed("unavailable", judged.reason),
        Err(DenialReason::Misconfigured) => failed("misconfigured", judged.reason),
        Err(DenialReason::Unavailable { .. }) => failed("unavailable", judged.reason),
        // The visitor was shown another account, and the token of this one was not refused.
        Err(_) if judged.reason == "account-down" => failed("unavailable", judged.reason),
        Err(denial) if judged.reason.is_empty() => {
            ObservedOutcome::NotHuman(denial.as_str().to_owned())
        }
        Err(_) => ObservedOutcome::NotHuman(judged.reason.to_owned()),
    };
    let judged = FunnelStep::Judged {
        account: account.name().into(),
        outcome,
        latency: Some(since.elapsed()),
        crossed: submitted.crossed,
    };
    experiment.record(&carried.receipt(), judged, guard.now());
}

fn failed(kind: &str, reason: &str) -> ObservedOutcome {
    ObservedOutcome::Failed(kind.to_owned(), reason.to_owned())
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
