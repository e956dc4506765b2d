use std::time::SystemTime;

use human_check_core::{Comparison, Observation, ObservedOutcome};
use jiff::{Timestamp, Unit};

use super::RecordError;
use super::raw::{
    MAX_NAME_BYTES, Raw, RawObservation, from_ms, is_short_name, short_name, time_text, to_ms,
};

/// The maximum number of observations in a record.
const MAX_OBSERVATIONS: usize = 32;

/// One comparison as a file keeps it, as one JSON object on one line.
///
/// It holds no token, no secret, no address and no text of a provider. Times are in milliseconds,
/// latencies in microseconds, and scores have six decimal places. The [front
/// page](crate#the-record) describes the members of the object.
///
/// ```
/// use human_check_compare::Record;
/// use human_check_core::{Comparison, Facts, Observation, Provider, Verdict};
/// use std::time::{Duration, SystemTime};
///
/// static ACME: Provider = Provider::new("acme", &["acme-response"]);
/// let verdict = Ok(Verdict::Human(Facts::new(&ACME)));
/// let record = Record::from(Comparison {
///     at: SystemTime::UNIX_EPOCH,
///     route: None,
///     id: None,
///     observations: vec![Observation::of(&ACME, &verdict, Duration::from_millis(80))],
/// });
/// assert_eq!(
///     record.to_json(),
///     r#"{"at":"1970-01-01T00:00:00Z","observations":[{"provider":"acme","outcome":"human","latency_ms":80.0}]}"#
/// );
/// assert_eq!(Record::from_json(record.to_json().as_bytes())?, record);
/// # Ok::<(), human_check_compare::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The observations of the providers, when they were made, and on which route. The id is that of
    /// the line in a file of tokens, or what the application gave.
    pub comparison: Comparison,
}

impl From<Comparison> for Record {
    /// Creates a record.
    ///
    /// Values that could not be read back are changed: a reason or kind that is not a short name
    /// becomes `other`, other characters in a provider's name become `-`, and times and numbers are
    /// rounded. An id that no line can hold is left out.
    fn from(mut comparison: Comparison) -> Self {
        let at = Timestamp::try_from(comparison.at).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = at.round(Unit::Millisecond).unwrap_or(at);
        comparison.at = SystemTime::try_from(at).unwrap_or(SystemTime::UNIX_EPOCH);
        for observation in &mut comparison.observations {
            match &mut observation.outcome {
                ObservedOutcome::Failed(kind, reason) => {
                    replace_invalid(kind);
                    replace_invalid(reason);
                }
                ObservedOutcome::NotHuman(reason) => replace_invalid(reason),
                ObservedOutcome::Human | ObservedOutcome::NoToken => {}
            }
            observation.provider = name(&observation.provider);
            observation.score = observation.score.filter(|score| score.is_finite());
            observation.score = observation
                .score
                .map(|score| (score.clamp(0.0, 1.0) * 1e6).round() / 1e6);
            observation.latency = observation.latency.and_then(|latency| {
                let latency = from_ms("latency_ms", to_ms(latency));
                latency.ok()
            });
        }
        comparison.route = comparison.route.map(|route| name(&route).into());
        comparison.id = comparison.id.filter(|id| validate_id(id).is_ok());
        Self { comparison }
    }
}

impl From<Record> for Comparison {
    fn from(record: Record) -> Self {
        record.comparison
    }
}

/// Replaces a text that is not a short name by `other`.
fn replace_invalid(text: &mut String) {
    if !is_short_name(text) {
        "other".clone_into(text);
    }
}

/// Returns a provider's name as a short name. It does not become `other`, because two providers
/// must keep two names.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .take(MAX_NAME_BYTES)
        .map(|c| {
            if c.is_ascii() && is_short_name(c.encode_utf8(&mut [0; 4])) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if name.is_empty() {
        name.push('-');
    }
    name
}

impl Record {
    pub(super) fn to_raw(&self) -> Raw {
        let comparison = &self.comparison;
        let entry = |observation: &Observation| {
            let (outcome, kind, reason) = match &observation.outcome {
                ObservedOutcome::Failed(kind, reason) => ("failed", Some(kind), Some(reason)),
                ObservedOutcome::Human => ("human", None, None),
                ObservedOutcome::NoToken => ("no-token", None, None),
                ObservedOutcome::NotHuman(reason) => ("not-human", None, Some(reason)),
            };
            RawObservation {
                provider: observation.provider.clone(),
                outcome: outcome.to_owned(),
                reason: reason.cloned(),
                kind: kind.cloned(),
                score: observation.score,
                latency_ms: observation.latency.map(to_ms),
            }
        };
        Raw {
            at: Some(time_text(comparison.at, Unit::Nanosecond)),
            id: comparison.id.as_deref().map(str::to_owned),
            route: comparison.route.as_deref().map(str::to_owned),
            observations: Some(comparison.observations.iter().map(entry).collect()),
            ..Raw::default()
        }
    }

    pub(super) fn from_raw(raw: Raw) -> Result<Self, RecordError> {
        let at = raw.time()?;
        if let Some(id) = &raw.id {
            validate_id(id)?;
        }
        let Some(entries) = raw.observations else {
            return Err(RecordError::new("`observations` is missing", "add it"));
        };
        if entries.is_empty() || entries.len() > MAX_OBSERVATIONS {
            return Err(RecordError::new(
                "`observations` is empty or too long",
                "write 1 to 32 observations, one for each provider",
            ));
        }
        let mut observations: Vec<Observation> = Vec::with_capacity(entries.len());
        for entry in entries {
            let observation = observation(entry)?;
            if observations
                .iter()
                .any(|o| o.provider == observation.provider)
            {
                return Err(RecordError::new(
                    "`observations` names a provider twice",
                    "write one observation for each provider, with different names",
                ));
            }
            observations.push(observation);
        }
        let route = raw.route.map(|route| short_name("route", route));
        Ok(Self {
            comparison: Comparison {
                at,
                route: route.transpose()?.map(Into::into),
                id: raw.id.map(Into::into),
                observations,
            },
        })
    }
}

/// Checks that a text can be the id of a record: 1 to 128 bytes without control characters.
///
/// ```
/// use human_check_compare::validate_id;
///
/// assert!(validate_id("42").is_ok());
/// assert!(validate_id("two\nlines").is_err());
/// ```
///
/// # Errors
///
/// [`RecordError`] when the text is empty, longer than 128 bytes, or has control characters.
pub fn validate_id(id: &str) -> Result<(), RecordError> {
    if (1..=MAX_NAME_BYTES).contains(&id.len()) && !id.chars().any(char::is_control) {
        return Ok(());
    }
    Err(RecordError::new(
        "`id` is empty, too long or holds control characters",
        "write up to 128 bytes of text",
    ))
}

/// Returns the outcome that the members of a line state.
pub(super) fn outcome_of(
    outcome: &str,
    kind: Option<String>,
    reason: Option<String>,
) -> Result<ObservedOutcome, RecordError> {
    match (outcome, kind, reason) {
        ("human", None, None) => Ok(ObservedOutcome::Human),
        ("no-token", None, None) => Ok(ObservedOutcome::NoToken),
        ("not-human", None, Some(reason)) => {
            Ok(ObservedOutcome::NotHuman(short_name("reason", reason)?))
        }
        ("failed", Some(kind), Some(reason)) => Ok(ObservedOutcome::Failed(
            short_name("kind", kind)?,
            short_name("reason", reason)?,
        )),
        ("human" | "no-token", ..) => Err(RecordError::new(
            "`reason` or `kind` is set beside human or no-token",
            "leave them out",
        )),
        ("not-human", ..) => Err(RecordError::new(
            "not-human needs a `reason` and no `kind`",
            "write a reason, such as expired",
        )),
        ("failed", ..) => Err(RecordError::new(
            "failed needs `kind` and `reason`",
            "write both, such as unavailable and timeout",
        )),
        _ => Err(RecordError::new(
            "`outcome` is not known",
            "write human, not-human, failed or no-token",
        )),
    }
}

/// Checks the members of an entry and returns the observation.
fn observation(entry: RawObservation) -> Result<Observation, RecordError> {
    let provider = short_name("provider", entry.provider)?;
    let outcome = outcome_of(&entry.outcome, entry.kind, entry.reason)?;
    let judged = matches!(
        outcome,
        ObservedOutcome::Human | ObservedOutcome::NotHuman(_)
    );
    if let Some(score) = entry.score {
        if !judged {
            return Err(RecordError::new(
                "`score` is set for an outcome without a verdict",
                "leave it out",
            ));
        }
        if !(0.0..=1.0).contains(&score) {
            return Err(RecordError::new(
                "`score` is outside 0 to 1",
                "write it on the common scale, where 1 is human",
            ));
        }
    }
    if entry.latency_ms.is_some() && outcome == ObservedOutcome::NoToken {
        return Err(RecordError::new(
            "`latency_ms` is set for no-token, where no provider was called",
            "leave it out",
        ));
    }
    let latency = entry.latency_ms.map(|ms| from_ms("latency_ms", ms));
    Ok(Observation {
        provider,
        outcome,
        score: entry.score,
        latency: latency.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Result<Record, RecordError> {
        Record::from_json(line.as_bytes())
    }

    #[test]
    fn a_line_is_read_and_written_back() {
        let line = r#"{"at":"2026-11-24T18:00:00Z","id":"42","observations":[{"provider":"turnstile","outcome":"human","score":0.9,"latency_ms":41.2},{"provider":"hcaptcha","outcome":"failed","reason":"timeout","kind":"unavailable","latency_ms":5000.0},{"provider":"captchala","outcome":"no-token"},{"provider":"recaptcha-v3","outcome":"not-human","reason":"expired"}]}"#;
        assert_eq!(read(line).unwrap().to_json(), line);
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        let observation = |members: &str| {
            format!(
                r#"{{"at":"2026-11-24T18:00:00Z","observations":[{{"provider":"a",{members}}}]}}"#
            )
        };
        for (line, problem) in [
            ("canary".to_owned(), "not JSON"),
            (r#"{"at":"canary","observations":[]}"#.to_owned(), "`at`"),
            (r#"{"canary":1}"#.to_owned(), "unknown member"),
            (
                r#"{"at":"2026-11-24T18:00:00Z"}"#.to_owned(),
                "observations",
            ),
            (
                r#"{"at":"2026-11-24T18:00:00Z","observations":[]}"#.to_owned(),
                "`observations`",
            ),
            (
                r#"{"at":"2026-11-24T18:00:00Z","observations":"canary"}"#.to_owned(),
                "type",
            ),
            (observation(r#""outcome":"canary""#), "`outcome`"),
            (
                observation(r#""outcome":"human","token":"canary""#),
                "unknown member",
            ),
            (
                observation(r#""outcome":"human","reason":"canary""#),
                "beside",
            ),
            (observation(r#""outcome":"not-human""#), "`reason`"),
            (
                observation(r#""outcome":"not-human","reason":"canary canary""#),
                "short name",
            ),
            (
                observation(r#""outcome":"failed","reason":"canary""#),
                "`kind`",
            ),
            (observation(r#""outcome":"human","score":1.5"#), "`score`"),
            (
                observation(r#""outcome":"no-token","latency_ms":1"#),
                "`latency_ms`",
            ),
            (
                observation(r#""outcome":"human","latency_ms":-1"#),
                "`latency_ms`",
            ),
            (
                observation(r#""outcome":"human"},{"provider":"a","outcome":"human""#),
                "twice",
            ),
        ] {
            let error = read(&line).unwrap_err().to_string();
            assert!(error.contains(problem), "{line}: {error}");
            assert!(error.contains("; "), "names a remedy: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn names_and_numbers_that_no_line_can_hold_are_replaced() {
        let record = Record::from(Comparison {
            at: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_234_567_891),
            route: None,
            id: None,
            observations: vec![Observation {
                provider: "two words\n".to_owned(),
                outcome: ObservedOutcome::NotHuman(String::new()),
                score: Some(f64::NAN),
                latency: Some(Duration::from_nanos(1_234_567)),
            }],
        });
        assert_eq!(read(&record.to_json()).unwrap(), record);
        assert_eq!(record.comparison.observations[0].provider, "two-words-");
    }

    proptest! {
        #[test]
        fn every_comparison_survives_its_line(
            nanos in 0_u64..4_000_000_000_000_000_000,
            score in proptest::option::of(0.0..=1.0),
            latency in proptest::option::of(0_u64..600_000_000_000),
            reason in "[a-z-]{0,12}",
        ) {
            let record = Record::from(Comparison {
                at: SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos),
                route: None,
                id: None,
                observations: vec![Observation {
                    provider: "a".to_owned(),
                    outcome: ObservedOutcome::NotHuman(reason),
                    score,
                    latency: latency.map(Duration::from_nanos),
                }],
            });
            prop_assert_eq!(read(&record.to_json()).unwrap(), record);
        }
    }
}
