use std::sync::Arc;

use human_check_core::{Assignment, ExperimentEvent, FunnelStep, ObservedOutcome};
use jiff::Unit;

use super::RecordError;
use super::raw::{Raw, is_short_name, short_name, time_text, to_ms};
use super::record::outcome_of;

/// Returns a name that can be read back.
fn name(text: &str) -> String {
    match is_short_name(text) {
        true => text.to_owned(),
        false => super::record::name(text),
    }
}

pub(super) fn to_raw(event: &ExperimentEvent) -> Raw {
    let mut raw = Raw {
        at: Some(time_text(event.at, Unit::Minute)),
        receipt: Some(event.receipt.to_string()),
        ..Raw::default()
    };
    if let Some(assignment) = &event.assignment {
        raw.route = Some(name(&assignment.route));
        raw.arm = Some(name(&assignment.arm));
        raw.step = Some(assignment.ramp_step);
        raw.first = assignment.first;
        raw.bucket = assignment.bucket;
        raw.segment = assignment.segment.as_deref().map(name);
    }
    let word = match &event.step {
        FunnelStep::Shown { account, why } => {
            raw.provider = Some(name(account));
            raw.why = Some((*why).to_owned());
            "shown"
        }
        FunnelStep::Loaded { after } => {
            raw.ms = Some(to_ms(*after));
            "loaded"
        }
        FunnelStep::Solved { after } => {
            raw.ms = Some(to_ms(*after));
            "solved"
        }
        FunnelStep::Judged {
            account,
            outcome,
            latency,
            crossed,
        } => {
            raw.provider = Some(name(account));
            let (outcome, kind, reason) = match outcome {
                ObservedOutcome::Failed(kind, reason) => ("failed", Some(kind), Some(reason)),
                ObservedOutcome::Human => ("human", None, None),
                ObservedOutcome::NoToken => ("no-token", None, None),
                ObservedOutcome::NotHuman(reason) => ("not-human", None, Some(reason)),
            };
            raw.outcome = Some(outcome.to_owned());
            raw.kind = kind.map(|kind| name(kind));
            raw.reason = reason.map(|reason| name(reason));
            raw.ms = latency.map(to_ms);
            raw.crossed = crossed.then_some(true);
            "judged"
        }
        FunnelStep::Label(label) => {
            raw.label = Some(name(label));
            "label"
        }
        FunnelStep::Completed => "completed",
        // A step that this version does not know. A reader reports it as a line that it cannot read.
        _ => "unknown",
    };
    raw.event = Some(word.to_owned());
    raw
}

pub(super) fn from_raw(raw: Raw) -> Result<ExperimentEvent, RecordError> {
    let at = raw.time()?;
    let missing = |member| RecordError::about(member, "is missing", "add it");
    let receipt = raw.receipt.as_deref().ok_or_else(|| missing("receipt"))?;
    let receipt = receipt.parse().map_err(|_| {
        RecordError::new("`receipt` is not a receipt", "write 32 hexadecimal digits")
    })?;
    let after = raw.duration()?;
    let step = match raw.event.as_deref() {
        Some("shown") => FunnelStep::Shown {
            account: account(raw.provider)?,
            why: match raw.why.as_deref() {
                Some("fallback") => "fallback",
                Some("arm") | None => "arm",
                Some(_) => {
                    return Err(RecordError::new(
                        "`why` is not known",
                        "write arm or fallback",
                    ));
                }
            },
        },
        Some("loaded") => FunnelStep::Loaded {
            after: after.ok_or_else(|| missing("ms"))?,
        },
        Some("solved") => FunnelStep::Solved {
            after: after.ok_or_else(|| missing("ms"))?,
        },
        Some("judged") => FunnelStep::Judged {
            account: account(raw.provider)?,
            outcome: outcome_of(
                raw.outcome.as_deref().ok_or_else(|| missing("outcome"))?,
                raw.kind,
                raw.reason,
            )?,
            latency: after,
            crossed: raw.crossed == Some(true),
        },
        Some("completed") => FunnelStep::Completed,
        Some("label") => {
            let label = raw.label.ok_or_else(|| missing("label"))?;
            FunnelStep::Label(short_name("label", label)?.into())
        }
        _ => {
            return Err(RecordError::new(
                "`event` is not known",
                "write shown, loaded, solved, judged, completed or label",
            ));
        }
    };
    let assignment = match (raw.route, raw.arm) {
        (Some(route), Some(arm)) => Some(Assignment {
            route: short_name("route", route)?.into(),
            arm: short_name("arm", arm)?.into(),
            ramp_step: raw.step.unwrap_or(0),
            first: raw.first,
            bucket: raw.bucket,
            segment: raw
                .segment
                .map(|segment| short_name("segment", segment).map(Arc::from))
                .transpose()?,
        }),
        (None, None) if !matches!(step, FunnelStep::Shown { .. }) => None,
        _ => return Err(missing("route` or `arm")),
    };
    Ok(ExperimentEvent {
        at,
        receipt,
        assignment,
        step,
    })
}

fn account(provider: Option<String>) -> Result<Arc<str>, RecordError> {
    let provider =
        provider.ok_or_else(|| RecordError::about("provider", "is missing", "add it"))?;
    short_name("provider", provider).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use human_check_core::Receipt;

    use super::super::Line;
    use super::*;

    fn event(step: FunnelStep) -> ExperimentEvent {
        ExperimentEvent {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_020),
            receipt: Receipt::from_bytes([7; 16]),
            assignment: Some(Assignment {
                route: "signup".into(),
                arm: "turnstile".into(),
                ramp_step: 2,
                first: Some(true),
                bucket: Some(17),
                segment: Some("mobile".into()),
            }),
            step,
        }
    }

    #[test]
    fn every_step_is_read_as_it_was_written() {
        let judged = |outcome| FunnelStep::Judged {
            account: "turnstile".into(),
            outcome,
            latency: Some(Duration::from_micros(41_234)),
            crossed: true,
        };
        for step in [
            FunnelStep::Shown {
                account: "turnstile".into(),
                why: "arm",
            },
            FunnelStep::Loaded {
                after: Duration::from_millis(420),
            },
            FunnelStep::Solved {
                after: Duration::from_millis(1_300),
            },
            judged(ObservedOutcome::Human),
            judged(ObservedOutcome::NotHuman("expired".to_owned())),
            judged(ObservedOutcome::Failed(
                "unavailable".to_owned(),
                "timeout".to_owned(),
            )),
            FunnelStep::Completed,
            FunnelStep::Label("chargeback".into()),
        ] {
            let line = Line::Event(event(step));
            assert_eq!(Line::from_json(line.to_json().as_bytes()).unwrap(), line);
        }
    }

    #[test]
    fn an_event_is_one_short_line_with_the_minute_only() {
        let shown = FunnelStep::Shown {
            account: "turnstile".into(),
            why: "arm",
        };
        let mut event = event(shown);
        event.at += Duration::from_secs(59);
        assert_eq!(
            Line::Event(event).to_json(),
            r#"{"at":"2026-11-18T11:07:00Z","event":"shown","receipt":"07070707070707070707070707070707","route":"signup","arm":"turnstile","step":2,"first":true,"bucket":17,"segment":"mobile","provider":"turnstile","why":"arm"}"#
        );
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said_without_repeating_it() {
        for (line, problem) in [
            (r#"{"event":"canary"}"#, "`at` is missing"),
            (
                r#"{"at":"2026-11-24T18:00:00Z","event":"shown"}"#,
                "`receipt` is missing",
            ),
            (
                r#"{"at":"2026-11-24T18:00:00Z","event":"completed","receipt":"canary"}"#,
                "`receipt` is not",
            ),
            (
                r#"{"at":"2026-11-24T18:00:00Z","event":"canary","receipt":"07070707070707070707070707070707"}"#,
                "`event` is not known",
            ),
            (
                r#"{"at":"2026-11-24T18:00:00Z","event":"shown","receipt":"07070707070707070707070707070707","provider":"a"}"#,
                "`arm` is missing",
            ),
        ] {
            let error = Line::from_json(line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{line}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
