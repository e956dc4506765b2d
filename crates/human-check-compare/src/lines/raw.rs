use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use super::{ExperimentHeader, RecordError};

/// The maximum length of an id, a name or a reason, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 128;

/// The maximum duration in milliseconds: a week. A larger number is an error of the file.
const MAX_MS: f64 = 7.0 * 86_400_000.0;

/// The members of all kinds of lines, so that a line is read once, whatever its kind is.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arm: Option<String>,
    /// The step of the ramp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bucket: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crossed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begun: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) observations: Option<Vec<RawObservation>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<BTreeMap<String, u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) writer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) experiment: Option<ExperimentHeader>,
}

/// The JSON object of an observation.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawObservation {
    pub(super) provider: String,
    pub(super) outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<f64>,
}

impl Raw {
    /// Returns the member `at`.
    pub(super) fn time(&self) -> Result<SystemTime, RecordError> {
        let Some(text) = &self.at else {
            return Err(RecordError::new("`at` is missing", "add it"));
        };
        let time = |text: &str| SystemTime::try_from(text.parse::<Timestamp>().ok()?).ok();
        time(text).ok_or(RecordError::new(
            "`at` is not a time",
            "write RFC 3339, such as 2026-11-24T18:00:00Z",
        ))
    }

    /// Returns the member `ms` as a duration.
    pub(super) fn duration(&self) -> Result<Option<Duration>, RecordError> {
        self.ms.map(|ms| from_ms("ms", ms)).transpose()
    }
}

/// Returns a time as text, rounded to `unit`.
pub(super) fn time_text(at: SystemTime, unit: Unit) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    let rounded = jiff::TimestampRound::new()
        .smallest(unit)
        .mode(jiff::RoundMode::Trunc);
    at.round(rounded).unwrap_or(at).to_string()
}

/// Returns whether a text is a short name, such as `rate-limited`.
pub(crate) fn is_short_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Checks that a member is a short name.
pub(super) fn short_name(member: &'static str, text: String) -> Result<String, RecordError> {
    if is_short_name(&text) {
        return Ok(text);
    }
    Err(RecordError::about(
        member,
        "is not a short name",
        "write up to 128 letters, digits, `-`, `_` and `.`",
    ))
}

/// Converts a duration to milliseconds, rounded to three decimal places.
pub(super) fn to_ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Converts milliseconds to a duration in whole microseconds.
pub(super) fn from_ms(member: &'static str, ms: f64) -> Result<Duration, RecordError> {
    if !(0.0..=MAX_MS).contains(&ms) {
        return Err(RecordError::about(
            member,
            "is negative or longer than a week",
            "write milliseconds",
        ));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    Ok(Duration::from_micros((ms * 1e3).round() as u64))
}
