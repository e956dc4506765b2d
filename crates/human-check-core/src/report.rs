//! Reports each call of a check to the operator: an event, and metrics.

use std::time::Duration;

use tracing::Level;

use crate::counter::{count, record};
use crate::{CheckError, Provider, Verdict};

/// Emits the event of one call of an adapter, with the target `human_check` and the message
/// `checked`, and counts the call.
///
/// `attempts` is how many requests were sent to the provider, 0 if none. `took` is how long the call
/// took. Fields and labels are names from fixed sets, numbers, and the provider's codes, which must
/// be redacted. None of them is text that a visitor sent.
///
/// The level is `ERROR` for a wrong configuration, `WARN` for alerts and other errors, and `DEBUG`
/// otherwise. With the feature `metrics` it adds to `human_check_checks_total`, to
/// `human_check_check_duration_seconds` if the provider was called, and to `human_check_score` if it
/// reported a score; see docs/reference/metrics.md.
pub fn report_check(
    provider: &Provider,
    outcome: &Result<Verdict, CheckError>,
    attempts: u32,
    took: Duration,
) {
    let (class, reason, alert, codes) = match outcome {
        Ok(Verdict::Human(_)) => ("human", "", false, &[][..]),
        Ok(Verdict::NotHuman(refusal)) => (
            "not-human",
            refusal.reason().as_str(),
            refusal.is_alert(),
            refusal.codes(),
        ),
        Err(error) => (
            error.kind().as_str(),
            error.reason(),
            error.is_alert(),
            error.codes(),
        ),
    };
    count_check(provider, class, reason);
    if attempts > 0 {
        record!("human_check_check_duration_seconds", took.as_secs_f64(), "provider" => provider.name());
    }
    let facts = match outcome {
        Ok(Verdict::Human(facts)) => Some(facts),
        Ok(Verdict::NotHuman(refusal)) => refusal.facts(),
        Err(_) => None,
    };
    if let Some(score) = facts.and_then(|facts| facts.score) {
        record!("human_check_score", score.human(), "provider" => provider.name());
    }
    let source = outcome.as_ref().err().and_then(std::error::Error::source);
    macro_rules! emit {
        ($level:expr) => {
            tracing::event!(
                target: "human_check",
                $level,
                provider = provider.name(),
                outcome = class,
                reason,
                alert,
                attempts,
                latency_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                codes = ?codes,
                source,
                "checked"
            )
        };
    }
    match (class, alert) {
        ("misconfigured", _) => emit!(Level::ERROR),
        (_, true) => emit!(Level::WARN),
        ("unavailable" | "declined" | "protocol" | "rate-limited" | "store-unavailable", _) => {
            emit!(Level::WARN);
        }
        _ => emit!(Level::DEBUG),
    }
}

/// Counts a call of a check, or one that a combinator ended in the check's place.
pub(crate) fn count_check(provider: &Provider, outcome: &'static str, reason: &'static str) {
    count!("human_check_checks_total", "provider" => provider.name(), "outcome" => outcome, "reason" => reason);
}
