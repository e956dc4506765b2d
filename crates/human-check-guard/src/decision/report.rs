//! Reports each decision to the operator: first to the observers, then to the log.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::snapshot::Snapshot;
use crate::{DecisionEvent, DenialReason, Unverified, Visitor};

/// What is reported of a decision.
pub(crate) struct Observed<'a> {
    pub(crate) decision: &'static str,
    /// Empty if no provider was involved.
    pub(crate) provider: &'a str,
    pub(crate) reason: &'static str,
    /// The account that judged, or that the response shows. Empty if there is none.
    pub(crate) account: &'a str,
    /// Why that account was selected. Empty if there is none.
    pub(crate) why: &'static str,
}

impl Observed<'_> {
    /// Creates the report of a refusal without a call of a check.
    pub(crate) fn of(denial: DenialReason) -> Self {
        Self {
            decision: denial.as_str(),
            provider: "",
            reason: "",
            account: "",
            why: "",
        }
    }
}

/// Calls the observers of the guard and emits one `tracing` event, about a decision that has taken
/// since `since`.
pub(crate) fn observe(
    guard: &Snapshot,
    observed: &Observed<'_>,
    since: Instant,
    severity: Severity,
) {
    let Observed {
        decision,
        provider,
        reason,
        account,
        why,
    } = *observed;
    let route = guard.policy().name();
    let observers = &guard.site().observers;
    // The clock is read only for those who want to know the time.
    if cfg!(feature = "metrics") || !observers.is_empty() {
        let event = DecisionEvent {
            route,
            decision,
            provider,
            reason,
            account,
            why,
            elapsed: since.elapsed(),
        };
        count(&event);
        for observer in observers {
            observer.on_decision(&event);
        }
    }
    macro_rules! emit {
        ($level:expr) => {
            tracing::event!(
                target: "human_check_guard",
                $level,
                route,
                decision,
                provider,
                reason,
                account,
                why,
                elapsed_ms = since.elapsed().as_millis() as u64,
            )
        };
    }
    match severity {
        Severity::Misconfigured => emit!(tracing::Level::ERROR),
        Severity::NoVerdict => emit!(tracing::Level::WARN),
        Severity::Normal => emit!(tracing::Level::DEBUG),
    }
}

/// Adds a decision to the metrics `human_check_decisions_total` and
/// `human_check_decision_duration_seconds`.
fn count(event: &DecisionEvent<'_>) {
    #[cfg(feature = "metrics")]
    {
        let labels = [
            ("route", event.route.to_owned()),
            ("decision", event.decision.to_owned()),
            ("provider", event.provider.to_owned()),
            ("reason", event.reason.to_owned()),
            ("why", event.why.to_owned()),
        ];
        metrics::counter!("human_check_decisions_total", &labels).increment(1);
        metrics::histogram!("human_check_decision_duration_seconds", &labels[..2])
            .record(event.elapsed.as_secs_f64());
    }
    #[cfg(not(feature = "metrics"))]
    let _ = event;
}

/// Logs that a token is verified under a second policy, once for each pair of routes: the code of the
/// application causes it, but each request with a token repeats it.
pub(crate) fn second_policy(route: &str, before: &str) {
    static LOGGED: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.insert((route.to_owned(), before.to_owned())) {
        tracing::warn!(
            target: "human_check_guard",
            route,
            before,
            "a token is verified under a second policy; most providers accept a token once"
        );
    }
}

/// Logs that a handler's type has no members that a token could stand beside, once for each type.
///
/// A client can cause the event by leaving the token out. It still reports a fact about the code, and
/// no client can cause it twice.
pub(crate) fn type_without_place(route: &str, name: &'static str) {
    static LOGGED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.insert(name) {
        tracing::error!(
            target: "human_check_guard",
            route,
            r#type = name,
            "the handler's type has no named members, so no token in the body is found; send the \
             token in the header, or use a type with named members"
        );
    }
}

/// Returns the name of a decision, for logs and metric labels.
pub(crate) fn decision_name(result: &Result<Visitor, DenialReason>) -> &'static str {
    match result {
        Ok(Visitor::Cleared(_)) => "cleared",
        Ok(Visitor::Human(_)) => "human",
        Ok(Visitor::Unverified(why)) => why.as_str(),
        Err(denial) => denial.as_str(),
    }
}

/// How urgent a decision is for the operator. It selects the level of the log.
#[derive(Clone, Copy)]
pub(crate) enum Severity {
    /// A verdict, or a request that needs none.
    Normal,
    /// The check could not reach a verdict.
    NoVerdict,
    /// The configuration is wrong.
    Misconfigured,
}

impl Severity {
    /// Returns the severity of a decision.
    pub(crate) fn of(result: &Result<Visitor, DenialReason>) -> Self {
        let denial = match result {
            Ok(Visitor::Unverified(Unverified::FailedOpen(_))) => return Self::NoVerdict,
            // A refusal that is only observed is as urgent as one that has effect.
            Ok(Visitor::Unverified(Unverified::Observed(denial))) | Err(denial) => denial,
            Ok(_) => return Self::Normal,
        };
        match denial {
            DenialReason::Misconfigured => Self::Misconfigured,
            DenialReason::Unavailable { .. } => Self::NoVerdict,
            _ => Self::Normal,
        }
    }
}
