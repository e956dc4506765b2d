use std::time::{Duration, SystemTime};

use human_check_core::{Comparison, Observation, ObservedOutcome};
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::RecordError;

/// The maximum length of an id, a provider's name or a reason, in bytes.
const MAX_NAME_BYTES: usize = 128;

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
    /// The id of the line in a file of tokens, which `human-check compare` writes. `None` for live
    /// traffic.
    pub id: Option<String>,
    /// The observations of the providers, and when they were made.
    pub comparison: Comparison,
}

impl Record {
    /// Reads one line of a file.
    ///
    /// # Errors
    ///
    /// [`RecordError`] that says what is wrong and what to write instead. It repeats no text of the
    /// line, which may be a secret in the wrong file.
    pub fn from_json(line: &[u8]) -> Result<Self, RecordError> {
        let line: Line = serde_json::from_slice(line).map_err(|e| RecordError::json(&e))?;
        line.record()
    }

    /// Returns the record as one line of JSON, without a line break.
    pub fn to_json(&self) -> String {
        // A struct of strings and finite numbers always serialises.
        serde_json::to_string(&Line::from(self)).unwrap_or_default()
    }
}

impl From<Comparison> for Record {
    /// Creates a record without an id.
    ///
    /// Values that could not be read back are changed: a reason or kind that is not a short name
    /// becomes `other`, other characters in a provider's name become `-`, and times and numbers are
    /// rounded.
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
            observation.latency = observation.latency.map(|latency| from_ms(to_ms(latency)));
        }
        Self {
            id: None,
            comparison,
        }
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
fn name(text: &str) -> String {
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

/// Returns whether a text is a short name, such as `rate-limited`.
pub(crate) fn is_short_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Converts a latency to milliseconds, rounded to three decimal places.
fn to_ms(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}

/// Converts milliseconds to a latency in whole microseconds.
fn from_ms(ms: f64) -> Duration {
    // The caller has checked the range.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Duration::from_micros((ms * 1e3).round() as u64)
}

/// The maximum latency in milliseconds: a week. A larger number is an error of the file.
const MAX_LATENCY_MS: f64 = 7.0 * 86_400_000.0;

/// The JSON object of a record.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    observations: Vec<Entry>,
}

/// The JSON object of an observation.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        let comparison = &record.comparison;
        let at = Timestamp::try_from(comparison.at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            at: at.to_string(),
            id: record.id.clone(),
            observations: comparison.observations.iter().map(Entry::from).collect(),
        }
    }
}

impl From<&Observation> for Entry {
    fn from(observation: &Observation) -> Self {
        let (outcome, kind, reason) = match &observation.outcome {
            ObservedOutcome::Failed(kind, reason) => ("failed", Some(kind), Some(reason)),
            ObservedOutcome::Human => ("human", None, None),
            ObservedOutcome::NoToken => ("no-token", None, None),
            ObservedOutcome::NotHuman(reason) => ("not-human", None, Some(reason)),
        };
        Self {
            provider: observation.provider.clone(),
            outcome: outcome.to_owned(),
            reason: reason.cloned(),
            kind: kind.cloned(),
            score: observation.score,
            latency_ms: observation.latency.map(to_ms),
        }
    }
}

impl Line {
    /// Checks the members and returns the record.
    fn record(self) -> Result<Record, RecordError> {
        let time = |text: &str| SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok();
        let at = time(&self.at).ok_or(RecordError::new(
            "`at` is not a time",
            "write RFC 3339, such as 2026-11-24T18:00:00Z",
        ))?;
        if let Some(id) = &self.id {
            validate_id(id)?;
        }
        if self.observations.is_empty() || self.observations.len() > MAX_OBSERVATIONS {
            return Err(RecordError::new(
                "`observations` is empty or too long",
                "write 1 to 32 observations, one for each provider",
            ));
        }
        let mut observations: Vec<Observation> = Vec::with_capacity(self.observations.len());
        for entry in self.observations {
            let observation = entry.observation()?;
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
        Ok(Record {
            id: self.id,
            comparison: Comparison { at, observations },
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

impl Entry {
    /// Checks the members and returns the observation.
    fn observation(self) -> Result<Observation, RecordError> {
        if !is_short_name(&self.provider) {
            return Err(RecordError::new(
                "`provider` is not a short name",
                "write up to 128 letters, digits, `-`, `_` and `.`",
            ));
        }
        let outcome = match (&*self.outcome, self.kind, self.reason) {
            ("human", None, None) => ObservedOutcome::Human,
            ("no-token", None, None) => ObservedOutcome::NoToken,
            ("not-human", None, Some(reason)) => {
                ObservedOutcome::NotHuman(short_name("reason", reason)?)
            }
            ("failed", Some(kind), Some(reason)) => {
                ObservedOutcome::Failed(short_name("kind", kind)?, short_name("reason", reason)?)
            }
            ("human" | "no-token", ..) => {
                return Err(RecordError::new(
                    "`reason` or `kind` is set beside human or no-token",
                    "leave them out",
                ));
            }
            ("not-human", ..) => {
                return Err(RecordError::new(
                    "not-human needs a `reason` and no `kind`",
                    "write a reason, such as expired",
                ));
            }
            ("failed", ..) => {
                return Err(RecordError::new(
                    "failed needs `kind` and `reason`",
                    "write both, such as unavailable and timeout",
                ));
            }
            _ => {
                return Err(RecordError::new(
                    "`outcome` is not known",
                    "write human, not-human, failed or no-token",
                ));
            }
        };
        let judged = matches!(
            outcome,
            ObservedOutcome::Human | ObservedOutcome::NotHuman(_)
        );
        if let Some(score) = self.score {
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
        if let Some(latency) = self.latency_ms {
            if outcome == ObservedOutcome::NoToken {
                return Err(RecordError::new(
                    "`latency_ms` is set for no-token, where no provider was called",
                    "leave it out",
                ));
            }
            if !(0.0..=MAX_LATENCY_MS).contains(&latency) {
                return Err(RecordError::new(
                    "`latency_ms` is negative or longer than a week",
                    "write milliseconds",
                ));
            }
        }
        Ok(Observation {
            provider: self.provider,
            outcome,
            score: self.score,
            latency: self.latency_ms.map(from_ms),
        })
    }
}

/// Checks that the member `kind` or `reason` is a short name.
fn short_name(member: &'static str, text: String) -> Result<String, RecordError> {
    if is_short_name(&text) {
        return Ok(text);
    }
    Err(RecordError::new(
        if member == "kind" {
            "`kind` is not a short name"
        } else {
            "`reason` is not a short name"
        },
        "write letters, digits, `-`, `_` and `.`",
    ))
}

#[cfg(test)]
mod tests {
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
