use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use human_check_core::FunnelStep;
use serde::Serialize;

use crate::{Header, Line, RecordError};

/// How far a time may be behind the one before it in a file, or ahead of now, before it is odd. Events
/// have whole minutes, and the threads of a server do not write in order.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// The maximum number of files whose lines are named.
const MAX_NAMES: usize = 32;

/// What was read, and what about it limits the figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Input {
    /// How many files were read.
    pub files: u64,
    /// Files that hold the same records as another one, which counts alone.
    pub repeated_files: Vec<String>,
    /// How many lines could not be read. They are left out.
    pub unreadable: u64,
    /// The files and lines of the first of them.
    pub first_unreadable: Vec<String>,
    /// How many records are missing, by reason. [`Lost`](crate::Lost) lists the reasons.
    pub lost: BTreeMap<String, u64>,
    /// How many times a clock went back by more than two minutes within a file.
    pub clock_went_back: u64,
    /// How many records are dated in the future.
    pub in_the_future: u64,
    /// How many processes wrote the files, of those that say so.
    pub writers: u64,
    /// The times at which a header states other settings than those before, RFC 3339.
    pub config_changes: Vec<String>,
}

impl Input {
    /// Returns how many records are missing.
    pub fn lost_total(&self) -> u64 {
        self.lost
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Watches the lines of files while they are read.
#[derive(Debug)]
pub struct InputWatch {
    input: Input,
    now: SystemTime,
    latest: Option<SystemTime>,
    name: String,
    writers: BTreeSet<String>,
    /// The ids whose providers were called, and that have no record yet.
    begun: BTreeSet<String>,
    /// The settings that headers state, by their times.
    configs: BTreeMap<SystemTime, String>,
}

impl InputWatch {
    /// Creates a watch that takes `now` for the present.
    pub fn new(now: SystemTime) -> Self {
        Self {
            input: Input::default(),
            now,
            latest: None,
            name: String::new(),
            writers: BTreeSet::new(),
            begun: BTreeSet::new(),
            configs: BTreeMap::new(),
        }
    }

    /// Begins a file.
    pub fn begin(&mut self, name: impl Into<String>) {
        self.name = name.into();
        self.latest = None;
        self.input.files += 1;
    }

    /// Counts a file that holds the same records as another one, and is not read.
    pub fn repeated(&mut self, name: impl Into<String>) {
        self.input.repeated_files.push(name.into());
    }

    /// Looks at one line of the file.
    pub fn see(&mut self, number: u64, line: &Result<Line, RecordError>) {
        let at = match line {
            Err(_) => {
                self.input.unreadable += 1;
                if self.input.first_unreadable.len() < MAX_NAMES {
                    let place = format!("{}:{number}", self.name);
                    self.input.first_unreadable.push(place);
                }
                return;
            }
            Ok(Line::Header(header)) => return self.see_header(header),
            Ok(Line::Begun(id)) => {
                self.begun.insert(id.clone());
                return;
            }
            Ok(Line::Lost(lost)) => {
                for (reason, count) in &lost.by_reason {
                    let sum = self.input.lost.entry(reason.clone()).or_default();
                    *sum = sum.saturating_add(*count);
                }
                lost.at
            }
            Ok(Line::Comparison(record)) => {
                if let Some(id) = &record.comparison.id {
                    self.begun.remove(&**id);
                }
                record.comparison.at
            }
            // Labels arrive when they are known, in any order.
            Ok(Line::Event(event)) if matches!(event.step, FunnelStep::Label(_)) => return,
            Ok(Line::Event(event)) => event.at,
        };
        if at > self.now + CLOCK_TOLERANCE {
            self.input.in_the_future += 1;
        }
        match self.latest {
            Some(latest) if at + CLOCK_TOLERANCE < latest => {
                self.input.clock_went_back += 1;
                // From here on, the time that the clock went back to counts.
                self.latest = Some(at);
            }
            Some(latest) => self.latest = Some(latest.max(at)),
            None => self.latest = Some(at),
        }
    }

    fn see_header(&mut self, header: &Header) {
        self.writers.insert(header.writer.clone());
        let plan = header.experiment.as_ref();
        let plan = plan.map(|plan| format!("{:?} {:?}", plan.planned, plan.margin));
        if header.config.is_some() || plan.is_some() {
            let said = format!("{:?} {plan:?}", header.config);
            self.configs.insert(header.at, said);
        }
    }

    /// Returns what was seen.
    pub fn finish(mut self) -> Input {
        self.input.writers = self.writers.len() as u64;
        if !self.begun.is_empty() {
            let interrupted = self.begun.len() as u64;
            *self.input.lost.entry("interrupted".to_owned()).or_default() += interrupted;
        }
        let mut before: Option<&String> = None;
        for (at, config) in &self.configs {
            if before.is_some_and(|before| before != config) {
                let at = jiff::Timestamp::try_from(*at).map(|at| at.to_string());
                self.input.config_changes.push(at.unwrap_or_default());
            }
            before = Some(config);
        }
        self.input
    }
}
