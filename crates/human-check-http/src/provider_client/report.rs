use std::time::Duration;

use human_check_core::{CheckError, Provider, Verdict};
use tracing::Level;

/// Emits the event of a check, with the target `human_check`.
///
/// Its fields are names from fixed sets, numbers, and the provider's codes, which are redacted.
/// None of them is text that a visitor sent.
pub(super) fn report(
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
                "checked"
            )
        };
    }
    match (class, alert) {
        ("misconfigured", _) => emit!(Level::ERROR),
        (_, true) | ("unavailable" | "declined" | "protocol", _) => emit!(Level::WARN),
        _ => emit!(Level::DEBUG),
    }
}
