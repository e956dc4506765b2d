use human_check_core::ExperimentEvent;

use super::raw::Raw;
use super::record::validate_id;
use super::{Header, Lost, Record, RecordError, event};

/// One line of a file of records, as one JSON object.
///
/// The [front page](crate#the-lines-of-a-file) describes the members of each kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Line {
    /// The id of a line of tokens whose providers are about to be called, which `human-check compare`
    /// writes first.
    Begun(String),
    /// What several providers reported about one visitor.
    Comparison(Record),
    /// What happened to one visitor of an experiment.
    Event(ExperimentEvent),
    /// Who writes the lines below it, and under which settings.
    Header(Header),
    /// How many lines are missing.
    Lost(Lost),
}

impl Line {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`RecordError`] that says what is wrong and what to write instead. It repeats no text of the
    /// line, which may be a secret in the wrong file.
    pub fn from_json(line: &[u8]) -> Result<Self, RecordError> {
        let raw: Raw = serde_json::from_slice(line).map_err(|e| RecordError::json(&e))?;
        if raw.version.is_some() {
            return Header::from_raw(raw).map(Self::Header);
        }
        if raw.lost.is_some() {
            return Lost::from_raw(raw).map(Self::Lost);
        }
        if let Some(id) = raw.begun {
            validate_id(&id)?;
            return Ok(Self::Begun(id));
        }
        if raw.event.is_some() {
            return event::from_raw(raw).map(Self::Event);
        }
        Record::from_raw(raw).map(Self::Comparison)
    }

    /// Returns the line as JSON, without a line break.
    pub fn to_json(&self) -> String {
        let raw = match self {
            Self::Begun(id) => Raw {
                begun: Some(id.clone()),
                ..Raw::default()
            },
            Self::Comparison(record) => record.to_raw(),
            Self::Event(event) => event::to_raw(event),
            Self::Header(header) => header.to_raw(),
            Self::Lost(lost) => lost.to_raw(),
        };
        // Strings, and numbers that are finite by construction, always serialise.
        serde_json::to_string(&raw).unwrap_or_default()
    }
}

impl From<ExperimentEvent> for Line {
    fn from(event: ExperimentEvent) -> Self {
        Self::Event(event)
    }
}

impl Record {
    /// Reads one line of a file.
    ///
    /// # Errors
    ///
    /// [`RecordError`] that says what is wrong and what to write instead. It repeats no text of the
    /// line, which may be a secret in the wrong file.
    pub fn from_json(line: &[u8]) -> Result<Self, RecordError> {
        match Line::from_json(line)? {
            Line::Comparison(record) => Ok(record),
            _ => Err(RecordError::new(
                "is a line of another kind than a comparison",
                "read it as a `Line`",
            )),
        }
    }

    /// Returns the record as one line of JSON, without a line break.
    pub fn to_json(&self) -> String {
        Line::Comparison(self.clone()).to_json()
    }
}
