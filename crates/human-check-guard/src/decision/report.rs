//! Tells the operator of each decision: observers first, then the log.

use std::time::Duration;

use crate::snapshot::Snapshot;
use crate::{DecisionEvent, DenialReason, Unverified, Visitor};

pub(crate) fn observe(
    guard: &Snapshot,
    decision: &'static str,
    provider: &str,
    reason: &'static str,
    elapsed: Duration,
    weight: Weight,
) {
    let event = DecisionEvent {
        route: guard.policy().name(),
        decision,
        provider,
        reason,
        elapsed,
    };
    for observer in &guard.site().observers {
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

pub(crate) fn decision_name(result: &Result<Visitor, DenialReason>) -> &'static str {
    match result {
        Ok(Visitor::Human(_)) => "human",
        Ok(Visitor::Unverified(why)) => why.as_str(),
        Err(denial) => denial.as_str(),
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
