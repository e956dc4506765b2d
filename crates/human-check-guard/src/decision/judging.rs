//! Which account judges a request, what its reply means, and what a refusal shows instead.
//!
//! The order of the rules is that of the table in docs/reference/selection.md.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use human_check_core::Claimed;
use human_check_core::{
    CheckError, ErrorKind, Facts, Provider, Reason, Refusal, Submission, TokenId, Verdict,
};
use tokio::time::{Instant, sleep};

use crate::clearance::Clearance;
use crate::experiment::Carried;
use crate::judges::Judge;
use crate::monthly_quota::OWN_QUOTA;
use crate::policy::uncounted;
use crate::selected::Selected;
use crate::selection::{FallbackOn, NameDigest, Outcome, SINGLE_USE_TTL, Why, report_offer};
use crate::snapshot::Snapshot;
use crate::{AttemptKey, Cleared, DenialReason, Human, Unverified, Visitor};

/// How long a verification may take before the account's health is probed.
const SUSPICIOUS_AFTER: Duration = Duration::from_millis(700);

/// The tokens of the account that judges, and the offer that selects it.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) judge: usize,
    /// `None` for the primary account and for those of a dual accept.
    pub(crate) offer: Option<ValidOffer>,
    /// What a valid offer says about a visitor of an experiment, whichever account judges.
    pub(crate) carried: Option<Carried>,
    /// Whether the token is of another account than the page showed, as a valid offer tells.
    pub(crate) crossed: bool,
    pub(crate) submission: Arc<Submission>,
}

/// An offer that selects an account other than the primary.
#[derive(Clone)]
pub(crate) struct ValidOffer {
    pub(crate) why: Why,
    /// What tells it apart from all other offers.
    pub(crate) id: [u8; 16],
    pub(crate) text: String,
}

impl std::fmt::Debug for ValidOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ValidOffer({})", self.why)
    }
}

/// A decision, with what is reported of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) result: Result<Visitor, DenialReason>,
    /// The provider that the decision is attributed to, unless a human verdict names it.
    pub(crate) provider: Option<Provider>,
    pub(crate) reason: &'static str,
    /// The account that judged, or that the response shows, and why it was selected.
    pub(crate) judge: Option<usize>,
    pub(crate) why: Option<Why>,
    /// What the response shows, if it is not what a new visitor meets.
    pub(crate) shown: Option<Selected>,
}

impl Judged {
    /// Creates a decision that no account took part in.
    pub(crate) fn without_call(
        result: Result<Visitor, DenialReason>,
        reason: &'static str,
    ) -> Self {
        Self {
            result,
            provider: None,
            reason,
            judge: None,
            why: None,
            shown: None,
        }
    }
}

/// How long counting a request of a clearance may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the count of a clearance outlives it, because the clocks of machines differ.
const COUNT_MARGIN: Duration = Duration::from_secs(120);

/// Counts a request of a clearance. Returns the proof if one of them counts: it has requests left, and
/// the store can tell so.
pub(crate) async fn cleared(
    guard: &Snapshot,
    clearances: Vec<(Clearance, Arc<str>)>,
) -> Option<Cleared> {
    let accepted = guard.policy().accepts_clearance.as_ref()?;
    let store = guard.site().attempts.as_ref()?;
    for (clearance, route) in clearances {
        let nonce: String = clearance
            .nonce
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let key = AttemptKey::named(format!("clearance:{nonce}:{}", guard.policy().name()));
        let count = store.add(&key, accepted.ttl + COUNT_MARGIN);
        match tokio::time::timeout(STORE_TIMEOUT, count).await {
            Ok(Ok(count)) if count <= accepted.max_requests => return Some(Cleared { route }),
            Ok(Ok(_)) => {}
            failed => {
                let error = failed.ok().and_then(Result::err);
                uncounted("clearance");
                tracing::warn!(
                    target: "human_check_guard",
                    route = guard.policy().name(),
                    error = error.as_ref().map(|error| error as &dyn std::error::Error),
                    "no clearance counts, because the store fails"
                );
                return None;
            }
        }
    }
    None
}

/// Decides about a request that is challenged and has no usable token of the account that would
/// judge.
pub(crate) fn without_token(
    guard: &Snapshot,
    list: usize,
    denial: DenialReason,
    reason: &'static str,
) -> Judged {
    if guard.judges().are_all_down(list) {
        return all_down(guard, list);
    }
    Judged::without_call(Err(denial), reason)
}

/// Decides about a request with tokens of the account that judges.
///
/// Dropping the future stops waiting. The provider may have used up the token by then.
pub(crate) async fn with_token(
    guard: &Snapshot,
    list: usize,
    submitted: &Submitted,
    client_ip: Option<IpAddr>,
    session: NameDigest,
) -> Judged {
    let judging = Judging {
        guard,
        session,
        list,
        submitted,
        on: guard.site().selection.fallback_on,
        end: Instant::now() + guard.site().selection.total_timeout,
    };
    if submitted.offer.is_none() {
        if guard.judges().are_all_down(list) {
            return all_down(guard, list);
        }
        if judging.is_down_for_its_own_token() {
            return judging.another_account("account-down", None);
        }
    }
    judging.verify(client_ip).await
}

/// Decides while every account of the list is down, by evidence that no client can produce.
fn all_down(guard: &Snapshot, list: usize) -> Judged {
    let judges = guard.judges();
    // While it is down, each request makes sure that health probes go on.
    let _ = judges.select(list, FallbackOn::default());
    let result = match guard.policy().fail_open.applies_to(ErrorKind::Unavailable) {
        true => Ok(Visitor::Unverified(Unverified::FailedOpen(
            ErrorKind::Unavailable,
        ))),
        false => Err(DenialReason::Unavailable {
            retry_after: None,
            token_used: false,
            retry: false,
        }),
    };
    let first = judges.first_of(list);
    Judged {
        provider: Some(judges.get(first).account.provider().clone()),
        judge: Some(first),
        why: Some(Why::Primary),
        ..Judged::without_call(result, "all-accounts-down")
    }
}

/// One verification.
struct Judging<'a> {
    guard: &'a Snapshot,
    list: usize,
    submitted: &'a Submitted,
    /// The session that a clearance is bound to.
    session: NameDigest,
    on: FallbackOn,
    /// When the decision must be made.
    end: Instant,
}

impl Judging<'_> {
    fn judge(&self) -> &Judge {
        self.guard.judges().get(self.submitted.judge)
    }

    fn why(&self) -> Why {
        self.submitted
            .offer
            .as_ref()
            .map_or(Why::Primary, |offer| offer.why)
    }

    fn single_use(&self) -> bool {
        self.why().is_single_use()
    }

    /// Returns a decision of the account that judges.
    fn judged(&self, result: Result<Visitor, DenialReason>, reason: &'static str) -> Judged {
        Judged {
            judge: Some(self.submitted.judge),
            why: Some(self.why()),
            ..Judged::without_call(result, reason)
        }
    }

    /// Returns whether the primary account is down and the token is one of its own, so that a call
    /// would only use it up.
    fn is_down_for_its_own_token(&self) -> bool {
        let judges = self.guard.judges();
        let provider = self.judge().account.provider();
        self.submitted.judge == judges.first_of(self.list)
            && self.submitted.submission.has_token_for(provider)
            && judges.is_first_out(self.list, self.on)
    }

    /// Returns whether the account's health has a consequence for this request. Without one it is not
    /// probed, because providers bill probes.
    fn is_watched(&self) -> bool {
        let judges = self.guard.judges();
        judges.has_fallback(self.list)
            || judges.has_arms()
            || judges.step_up().is_some()
            || self
                .guard
                .policy()
                .fail_open
                .applies_to(ErrorKind::Unavailable)
    }

    /// Calls the check, and translates its outcome by the policy.
    async fn verify(self, client_ip: Option<IpAddr>) -> Judged {
        let (site, route) = (self.guard.site(), self.guard.policy().name());
        let submission = &*self.submitted.submission;
        let provider = self.judge().account.provider();
        let token = submission.token_for(provider, usize::MAX).ok().or_else(|| {
            let mut others = self.guard.fields().providers().iter();
            others.find_map(|known| submission.token_for(known, usize::MAX).ok())
        });
        let twin = token.map(|token| site.twins.enter(token));
        let outcome = self.call(submission).await;
        self.record(&outcome);
        match outcome {
            Ok(Verdict::Human(facts)) => {
                if let Some(denied) = self.claim_offer().await {
                    return denied;
                }
                site.streaks.passed(route, &facts);
                if let Some(twin) = twin {
                    twin.passed();
                }
                site.selection.report_limit.passed();
                let clearance = self.guard.clearance_cookie(self.session);
                let receipt = self.submitted.carried.as_ref().map(Carried::receipt);
                self.judged(
                    Ok(Visitor::Human(Human::new(facts, clearance, receipt))),
                    "",
                )
            }
            Ok(Verdict::NotHuman(refusal)) => {
                site.streaks.refused(route, &refusal, client_ip);
                let is_twin = twin.is_some_and(|twin| twin.has_another());
                self.refused(&refusal, is_twin)
            }
            Err(error) => self.failed(&error).await,
        }
    }

    /// Calls the check. If it takes long, the account's health is probed meanwhile.
    async fn call(&self, submission: &Submission) -> Result<Verdict, CheckError> {
        let judge = self.judge();
        let verification = judge.check.check(submission);
        if !self.is_watched() {
            return verification.await;
        }
        tokio::pin!(verification);
        tokio::select! {
            biased;
            outcome = &mut verification => return outcome,
            () = sleep(SUSPICIOUS_AFTER) => judge.account.health().suspect(),
        }
        verification.await
    }

    /// Records what the outcome says about the account.
    fn record(&self, outcome: &Result<Verdict, CheckError>) {
        let says = match outcome {
            Ok(Verdict::Human(facts)) if self.is_own(&facts.provider) => Outcome::Human,
            Ok(_) => Outcome::Other,
            // The other provider of a dual accept says nothing about this account. Nor does an error
            // that was made without a reply: by a limit of this process, or by an open circuit.
            Err(error) if !self.is_own(error.provider()) || error.reason() == "circuit-open" => {
                Outcome::Other
            }
            Err(error) => match error.kind() {
                ErrorKind::Unavailable => Outcome::Unavailable,
                ErrorKind::Declined if error.token_may_be_used() || error.reason() == OWN_QUOTA => {
                    Outcome::Declined
                }
                ErrorKind::RateLimited if error.token_may_be_used() => Outcome::RateLimited,
                _ => Outcome::Other,
            },
        };
        self.judge().account.health().record(says, self.on);
    }

    /// Returns whether it is the provider of the account that judges.
    fn is_own(&self, provider: &Provider) -> bool {
        self.judge().account.provider() == provider
    }

    /// Claims an offer that counts once. Returns the refusal if it was used before, or if the store
    /// cannot tell.
    async fn claim_offer(&self) -> Option<Judged> {
        static OFFERS: Provider = Provider::new("human-check-offer", &[]);
        let offer = self
            .submitted
            .offer
            .as_ref()
            .filter(|_| self.single_use())?;
        let store = self.guard.site().selection.single_use.as_ref();
        let claim = async {
            let id = TokenId::from_bytes(&OFFERS, &offer.id);
            store?.claim(id, SINGLE_USE_TTL).await.ok()
        };
        let claimed = tokio::time::timeout(STORE_TIMEOUT, claim).await;
        match claimed.ok().flatten() {
            Some(Claimed::First) => {
                self.guard.site().used_offers.add(offer.id);
                None
            }
            Some(Claimed::Duplicate) => {
                self.guard.site().used_offers.add(offer.id);
                report_offer(self.guard.policy().name(), offer.why.as_str(), "used");
                Some(Judged {
                    provider: Some(self.judge().account.provider().clone()),
                    ..self.judged(Err(DenialReason::VerificationFailed), "offer-used")
                })
            }
            // The store must tell that the offer was not used. Without that it may have been.
            None => Some(Judged {
                provider: Some(self.judge().account.provider().clone()),
                ..self.judged(Err(unavailable(None, true)), "store-unavailable")
            }),
        }
    }

    /// Decides about a refusal of the account.
    fn refused(&self, refusal: &Refusal, is_twin: bool) -> Judged {
        if let Some(step_up) = self.step_up(refusal) {
            return step_up;
        }
        let denial = match refusal.reason() {
            Reason::ExpiredOrReplayed | Reason::Replayed if is_twin => {
                DenialReason::AlreadySubmitted
            }
            Reason::Malformed => DenialReason::InvalidToken,
            Reason::Missing => DenialReason::ChallengeRequired,
            _ => DenialReason::VerificationFailed,
        };
        // The offer still holds, so the visitor may solve the same challenge again.
        let used = &self.guard.site().used_offers;
        let offer = self.submitted.offer.as_ref();
        let shown = offer.filter(|offer| !used.has(&offer.id)).map(|offer| {
            self.guard
                .selected_by(self.submitted.judge, offer.why, offer.text.clone())
        });
        Judged {
            provider: refusal.provider().cloned(),
            shown,
            ..self.judged(Err(denial), refusal.reason().as_str())
        }
    }

    /// Returns the decision that leads to the stronger challenge, if the score is the only reason of
    /// the refusal and in the band.
    fn step_up(&self, refusal: &Refusal) -> Option<Judged> {
        let judges = self.guard.judges();
        let (judge, floor) = judges.step_up()?;
        // A visitor of an experiment has an offer on every page.
        let has_other_offer = !matches!(self.why(), Why::Primary | Why::Arm);
        let begins_at = judges.get(judges.first_of(self.list)).account.name();
        if has_other_offer || self.judge().account.name() != begins_at {
            return None;
        }
        let facts: &Facts = refusal.facts_but_for_score()?;
        if !facts.score?.at_least(floor) {
            return None;
        }
        let decision = match judges.get(judge).account.is_down() {
            true => Judged {
                judge: Some(judge),
                why: Some(Why::StepUp),
                ..Judged::without_call(Err(unavailable(None, true)), "account-down")
            },
            false => self.show(judge, Why::StepUp, refusal.reason().as_str()),
        };
        Some(Judged {
            provider: Some(facts.provider.clone()),
            ..decision
        })
    }

    /// Returns the decision that shows another account.
    fn show(&self, judge: usize, why: Why, reason: &'static str) -> Judged {
        Judged {
            judge: Some(judge),
            why: Some(why),
            shown: Some(
                self.guard
                    .selected(judge, why, self.submitted.carried.as_ref()),
            ),
            ..Judged::without_call(Err(DenialReason::ChallengeRequired), reason)
        }
    }

    /// Decides about an error of the account.
    async fn failed(&self, error: &CheckError) -> Judged {
        let health = self.judge().account.health();
        let provider = Some(error.provider().clone());
        let fail_open = self.guard.policy().fail_open;
        let judged = match error.kind() {
            ErrorKind::Misconfigured => {
                self.judged(Err(DenialReason::Misconfigured), error.reason())
            }
            // It never opens a route, and never leads to another account.
            kind if self.why() == Why::StepUp => {
                if kind == ErrorKind::Unavailable {
                    health.suspect();
                }
                self.judged(Err(unavailable(Some(error), true)), error.reason())
            }
            ErrorKind::Unavailable if self.is_watched() && health.covers(error.provider()) => {
                health.suspect();
                health.settled(self.end).await;
                match health.is_down() {
                    true => return self.another_account(error.reason(), Some(error)),
                    false => self.retry(error),
                }
            }
            ErrorKind::Declined | ErrorKind::RateLimited if health.is_out(self.on) => {
                return self.another_account(error.reason(), Some(error));
            }
            kind @ (ErrorKind::Declined | ErrorKind::StoreUnavailable)
                if fail_open.applies_to(kind) && !self.single_use() =>
            {
                let opened = Visitor::Unverified(Unverified::FailedOpen(kind));
                self.judged(Ok(opened), error.reason())
            }
            _ => self.judged(Err(unavailable(Some(error), true)), error.reason()),
        };
        Judged { provider, ..judged }
    }

    /// Asks the client to send the same request again, because it is not known yet whether the
    /// account is down.
    fn retry(&self, error: &CheckError) -> Judged {
        let denial = DenialReason::Unavailable {
            retry_after: Some(Duration::from_secs(1)),
            token_used: error.token_may_be_used(),
            retry: true,
        };
        self.judged(Err(denial), error.reason())
    }

    /// Decides when the account that should judge is down: the next account that works is shown.
    fn another_account(&self, reason: &'static str, error: Option<&CheckError>) -> Judged {
        let judges = self.guard.judges();
        let provider = Some(self.judge().account.provider().clone());
        let judged = match judges.select(self.list, self.on) {
            Some((judge, why)) => self.show(judge, why, reason),
            None if judges.are_all_down(self.list) => all_down(self.guard, self.list),
            None => self.judged(Err(unavailable(error, false)), reason),
        };
        Judged { provider, ..judged }
    }
}

/// Returns the refusal of a request without a verdict.
fn unavailable(error: Option<&CheckError>, token_used: bool) -> DenialReason {
    DenialReason::Unavailable {
        retry_after: error.and_then(CheckError::retry_after),
        token_used: error.map_or(token_used, CheckError::token_may_be_used),
        retry: false,
    }
}
