use std::time::SystemTime;

use jiff::Unit;

use super::raw::{Raw, is_short_name, short_name, time_text};
use super::{ExperimentHeader, RecordError};

/// The version of the format that is written.
const VERSION: u8 = 2;

/// The maximum number of arms, and of steps of a ramp.
const MAX_ENTRIES: usize = 16;

/// The line that says who writes the lines below it, and under which settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// When it was written, in whole minutes.
    pub at: SystemTime,
    /// A random name of the process that writes.
    pub writer: String,
    /// The number of the file of this writer, from 1. No two files have equal headers.
    pub file: u64,
    /// A digest of the settings that matter. It differs when they do.
    pub config: Option<String>,
    /// The experiment whose events follow. `None` in a file of comparisons.
    pub experiment: Option<ExperimentHeader>,
}

impl Header {
    /// Creates a header.
    pub(crate) fn new(at: SystemTime, writer: String, file: u64) -> Self {
        Self {
            at,
            writer,
            file,
            config: None,
            experiment: None,
        }
    }

    pub(super) fn from_raw(raw: Raw) -> Result<Self, RecordError> {
        if raw.version != Some(VERSION) {
            return Err(RecordError::new(
                "`version` is not 2",
                "read it with the version of human-check that wrote it",
            ));
        }
        let at = raw.time()?;
        let (Some(writer), Some(file)) = (raw.writer, raw.file) else {
            return Err(RecordError::new(
                "`writer` or `file` is missing",
                "leave headers as they were written",
            ));
        };
        if let Some(experiment) = &raw.experiment {
            validate(experiment)?;
        }
        Ok(Self {
            at,
            writer: short_name("writer", writer)?,
            file,
            config: raw
                .config
                .map(|digest| short_name("config", digest))
                .transpose()?,
            experiment: raw.experiment,
        })
    }

    pub(super) fn to_raw(&self) -> Raw {
        Raw {
            version: Some(VERSION),
            at: Some(time_text(self.at, Unit::Minute)),
            writer: Some(self.writer.clone()),
            file: Some(self.file),
            config: self.config.clone(),
            experiment: self.experiment.clone(),
            ..Raw::default()
        }
    }
}

/// Checks the plan of an experiment.
fn validate(plan: &ExperimentHeader) -> Result<(), RecordError> {
    let steps = plan.arms.first().map_or(0, |arm| arm.weights.len());
    let is_valid = is_short_name(&plan.name)
        && (1..=MAX_ENTRIES).contains(&plan.arms.len())
        && (1..=MAX_ENTRIES).contains(&steps)
        && plan.until.as_ref().is_none_or(|until| {
            until.len() <= 64 && until.bytes().all(|byte| byte.is_ascii_graphic())
        })
        && plan.arms.iter().all(|arm| {
            is_short_name(&arm.name)
                && arm.weights.len() == steps
                && arm
                    .weights
                    .iter()
                    .all(|weight| (0.0..=1.0).contains(weight))
        })
        && plan
            .margin
            .is_none_or(|margin| (0.0..1.0).contains(&margin));
    match is_valid {
        true => Ok(()),
        false => Err(RecordError::new(
            "`experiment` is not the plan of an experiment",
            "leave headers as they were written",
        )),
    }
}
