use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Unit;

use super::RecordError;
use super::raw::{Raw, short_name, time_text};

/// How many lines are missing in a file, because they could not be made or written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lost {
    /// When it was noticed, in whole minutes.
    pub at: SystemTime,
    /// How many, by reason: `in-flight`, `no-runtime`, `queue` (too many others waited to be written),
    /// `disk` (the file could not be written), `ended` (the process ended before), `rotated` (they were in
    /// the oldest file, which was deleted). A report adds `interrupted`: `human-check compare` was killed.
    pub by_reason: BTreeMap<String, u64>,
}

impl Lost {
    pub(crate) fn new(at: SystemTime, by_reason: BTreeMap<String, u64>) -> Self {
        Self { at, by_reason }
    }

    /// Returns how many lines are missing.
    pub fn total(&self) -> u64 {
        self.by_reason
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(super) fn from_raw(raw: Raw) -> Result<Self, RecordError> {
        let at = raw.time()?;
        let by_reason = raw.lost.unwrap_or_default().into_iter();
        let by_reason = by_reason.map(|(reason, count)| Ok((short_name("lost", reason)?, count)));
        Ok(Self {
            at,
            by_reason: by_reason.collect::<Result<_, RecordError>>()?,
        })
    }

    pub(super) fn to_raw(&self) -> Raw {
        Raw {
            at: Some(time_text(self.at, Unit::Minute)),
            lost: Some(self.by_reason.clone()),
            ..Raw::default()
        }
    }
}
