use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use human_check_core::{ExperimentEvent, FunnelStep, ObservedOutcome, Receipt};

use crate::day::day_number;
use crate::latency::Latencies;
use crate::reason::proves_nothing;
use crate::{ExperimentHeader, Header, Line, Lost};

use super::visitors::{Seen, Visitors};

/// The maximum number of routes, of segments and of labels. Further ones are not told apart.
const MAX_WORDS: usize = 64;

/// The maximum number of different weights. Visitors of further ones are left out.
const MAX_STRATA: usize = 128;

/// The maximum number of arms.
const MAX_ARMS: usize = 16;

/// How long after a visit a label counts, if no other time is given.
const LABEL_WINDOW: Duration = Duration::from_secs(14 * 86_400);

/// A counter of the events of an experiment, in any order and from several files.
///
/// It keeps about 50 bytes for each showing of a challenge. Only the first event of each kind counts for
/// a receipt, and only events of receipts that were shown.
///
/// ```
/// use human_check_compare::{ExperimentTally, Input, RecordReader};
///
/// # fn main() -> std::io::Result<()> {
/// let file = br#"{"version":2,"at":"2026-11-24T18:00:00Z","writer":"a","file":1,"experiment":{"name":"e","arms":[{"name":"old","weights":[0.5]},{"name":"new","weights":[0.5]}]}}
/// {"at":"2026-11-24T18:00:00Z","event":"shown","receipt":"00000000000000000000000000000001","route":"signup","arm":"new","first":true,"provider":"new"}
/// {"at":"2026-11-24T18:01:00Z","event":"completed","receipt":"00000000000000000000000000000001"}
/// {"at":"2026-11-24T18:01:00Z","event":"completed","receipt":"00000000000000000000000000000001"}
/// "#;
/// let mut reader = RecordReader::new(&file[..]);
/// let mut tally = ExperimentTally::new();
/// while let Some((_, line)) = reader.read()? {
///     tally.add_line(&line.expect("is readable"));
/// }
/// let statistics = tally.statistics_of(Input::default());
/// assert_eq!(statistics.arms[1].completed, 1);
/// assert_eq!(statistics.repeated_events, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ExperimentTally {
    pub(super) plan: Option<ExperimentHeader>,
    /// The names of further experiments, whose events are not counted.
    pub(super) others: BTreeSet<String>,
    /// Whether the lines that follow belong to another experiment.
    skipping: bool,
    /// The weights with which visitors were assigned, by arm, in millionths. Visitors with equal weights
    /// are compared with one another. The first entry stands for unknown weights.
    pub(super) strata: Vec<BTreeMap<String, u32>>,
    /// The strata of the steps of the latest header of this file.
    strata_of_steps: Vec<u8>,
    now: SystemTime,
    pub(super) visitors: Visitors,
    pub(super) arms: Vec<String>,
    pub(super) routes: Vec<String>,
    /// The first one stands for none.
    pub(super) segments: Vec<String>,
    pub(super) labels: Vec<String>,
    /// The labels, in the order of the files.
    pub(super) labelled: Vec<(Receipt, usize, u32)>,
    pub(super) calls: Vec<ArmCalls>,
    pub(super) repeated: u64,
    pub(super) lost_by_day: BTreeMap<u32, u64>,
    pub(super) range: Option<(SystemTime, SystemTime)>,
    pub(super) label_window: Duration,
}

/// The calls of an arm, which are those of all visits.
#[derive(Debug, Default)]
pub(super) struct ArmCalls {
    pub(super) verifications: u64,
    pub(super) failed: u64,
    pub(super) unusable: u64,
    pub(super) latencies: Latencies,
    pub(super) load_times: Latencies,
    pub(super) solve_times: Latencies,
    /// By day: verifications, and those of them that failed.
    pub(super) days: BTreeMap<u32, (u64, u64)>,
}

impl Default for ExperimentTally {
    fn default() -> Self {
        Self::new()
    }
}

impl ExperimentTally {
    /// Creates a tally without events.
    pub fn new() -> Self {
        Self {
            plan: None,
            others: BTreeSet::new(),
            skipping: false,
            strata: vec![BTreeMap::new()],
            strata_of_steps: Vec::new(),
            now: SystemTime::now(),
            visitors: Visitors::default(),
            arms: Vec::new(),
            routes: Vec::new(),
            segments: vec![String::new()],
            labels: Vec::new(),
            labelled: Vec::new(),
            calls: Vec::new(),
            repeated: 0,
            lost_by_day: BTreeMap::new(),
            range: None,
            label_window: LABEL_WINDOW,
        }
    }

    /// Creates a tally of an experiment whose plan is known, without the header of a file.
    pub fn of(plan: &ExperimentHeader) -> Self {
        let mut tally = Self::new();
        tally.begin(plan);
        tally
    }

    /// Sets how long after a visit a label counts. Only visitors older than that are compared by their
    /// labels. Default 14 days.
    #[must_use]
    pub fn with_label_window(mut self, window: Duration) -> Self {
        self.label_window = window;
        self
    }

    pub(super) fn today(&self) -> u32 {
        day_number(self.now)
    }

    /// Returns the plan of the experiment. `None` before its header was read.
    pub fn plan(&self) -> Option<&ExperimentHeader> {
        self.plan.as_ref()
    }

    /// Begins a file, which belongs to this experiment until a header says otherwise.
    pub fn begin_file(&mut self) {
        self.skipping = false;
        self.strata_of_steps.clear();
    }

    /// Counts one line of a file. Comparisons count nothing here.
    pub fn add_line(&mut self, line: &Line) {
        match line {
            Line::Header(header) => self.add_header(header),
            Line::Event(event) if !self.skipping => self.add(event),
            Line::Lost(lost) if !self.skipping => self.add_lost(lost),
            _ => {}
        }
    }

    fn add_header(&mut self, header: &Header) {
        if let Some(plan) = &header.experiment {
            self.begin(plan);
        }
    }

    fn begin(&mut self, plan: &ExperimentHeader) {
        let name = self.plan.get_or_insert_with(|| plan.clone()).name.clone();
        self.skipping = name != plan.name;
        if self.skipping {
            self.others.insert(plan.name.clone());
            return;
        }
        let steps = plan.arms.first().map_or(0, |arm| arm.weights.len());
        self.strata_of_steps = (0..steps)
            .map(|step| stratum(&mut self.strata, plan, step))
            .collect();
        // The plan of the first header tunes the intervals. A later one may add arms and steps.
        let Some(known) = &mut self.plan else {
            return;
        };
        for arm in &plan.arms {
            let has_room = known.arms.len() < MAX_ARMS;
            match known.arms.iter_mut().find(|other| other.name == arm.name) {
                Some(other) if other.weights.len() < arm.weights.len() => {
                    other.weights.clone_from(&arm.weights);
                }
                Some(_) => {}
                None if has_room => known.arms.push(arm.clone()),
                None => {}
            }
        }
        for arm in plan.arms.clone() {
            self.arm(&arm.name);
        }
    }

    fn add_lost(&mut self, lost: &Lost) {
        let sum = self.lost_by_day.entry(day_number(lost.at)).or_default();
        *sum = sum.saturating_add(lost.total());
    }

    /// Returns the place of an arm, or `None` if there are too many.
    fn arm(&mut self, name: &str) -> Option<u8> {
        let place = word(&mut self.arms, name, MAX_ARMS)?;
        if self.calls.len() < self.arms.len() {
            self.calls.resize_with(self.arms.len(), ArmCalls::default);
        }
        Some(place)
    }

    /// Counts one event.
    pub fn add(&mut self, event: &ExperimentEvent) {
        let day = day_number(event.at);
        let mut arm = None;
        if let Some(assignment) = &event.assignment {
            arm = self.arm(&assignment.arm);
        }
        match &event.step {
            FunnelStep::Shown { why, .. } => {
                let (Some(assignment), Some(arm)) = (&event.assignment, arm) else {
                    return;
                };
                let route = word(&mut self.routes, &assignment.route, MAX_WORDS);
                let segment = assignment.segment.as_deref();
                let segment = segment.and_then(|name| word(&mut self.segments, name, MAX_WORDS));
                let steps = &self.strata_of_steps;
                let stratum = steps.get(usize::from(assignment.ramp_step)).unwrap_or(&0);
                let visitor = self.visitors.of(event.receipt);
                if !visitor.note(Seen::SHOWN) {
                    self.repeated += 1;
                    return;
                }
                visitor.day = u16::try_from(day).unwrap_or(u16::MAX);
                visitor.arm = arm;
                visitor.route = route.unwrap_or(u8::MAX);
                visitor.segment = segment.unwrap_or(0);
                visitor.stratum = *stratum;
                if let Some(bucket) = assignment.bucket {
                    visitor.note(Seen::HAS_BUCKET);
                    visitor.bucket = bucket;
                }
                if let Some(first) = assignment.first {
                    visitor.note(Seen::VISIT_KNOWN);
                    if first {
                        visitor.note(Seen::FIRST);
                    }
                }
                if *why == "fallback" {
                    visitor.note(Seen::FALLBACK);
                }
                let (from, until) = self.range.unwrap_or((event.at, event.at));
                self.range = Some((from.min(event.at), until.max(event.at)));
            }
            FunnelStep::Loaded { after } => {
                if self.first_time(event, Seen::LOADED)
                    && let Some(arm) = arm
                {
                    self.calls[usize::from(arm)].load_times.add(*after);
                }
            }
            FunnelStep::Solved { after } => {
                if self.first_time(event, Seen::SOLVED)
                    && let Some(arm) = arm
                {
                    self.calls[usize::from(arm)].solve_times.add(*after);
                }
            }
            FunnelStep::Judged {
                outcome,
                latency,
                crossed,
                ..
            } => {
                let visitor = self.visitors.of(event.receipt);
                visitor.note(Seen::JUDGED);
                if *outcome == ObservedOutcome::Human {
                    visitor.note(Seen::PASSED);
                }
                if *crossed {
                    visitor.note(Seen::CROSSED);
                }
                if let Some(arm) = arm {
                    self.calls[usize::from(arm)].add(outcome, *latency, day);
                }
            }
            FunnelStep::Label(name) => {
                if let Some(label) = word(&mut self.labels, name, MAX_WORDS) {
                    self.labelled.push((event.receipt, usize::from(label), day));
                }
            }
            FunnelStep::Completed => {
                self.first_time(event, Seen::COMPLETED);
            }
            _ => {}
        }
    }

    /// Notes what happened to a visitor. Returns whether it is the first time.
    fn first_time(&mut self, event: &ExperimentEvent, seen: Seen) -> bool {
        let is_first = self.visitors.of(event.receipt).note(seen);
        if !is_first {
            self.repeated += 1;
        }
        is_first
    }
}

impl ArmCalls {
    fn add(&mut self, outcome: &ObservedOutcome, latency: Option<Duration>, day: u32) {
        self.verifications += 1;
        let day = self.days.entry(day).or_default();
        day.0 += 1;
        match outcome {
            ObservedOutcome::Failed(..) => {
                self.failed += 1;
                day.1 += 1;
            }
            ObservedOutcome::NotHuman(reason) if proves_nothing(reason) => self.unusable += 1,
            _ => {}
        }
        let replied = matches!(
            outcome,
            ObservedOutcome::Human | ObservedOutcome::NotHuman(_)
        );
        if let Some(latency) = latency.filter(|_| replied) {
            self.latencies.add(latency);
        }
    }
}

/// Returns the stratum of a step of a plan, which is new if no other step has its weights.
fn stratum(strata: &mut Vec<BTreeMap<String, u32>>, plan: &ExperimentHeader, step: usize) -> u8 {
    let all: f64 = plan
        .arms
        .iter()
        .filter_map(|arm| arm.weights.get(step))
        .sum();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share in millionths"
    )]
    let millionths = |weight: f64| (1e6 * weight / all.max(f64::MIN_POSITIVE)).round() as u32;
    let weights = plan.arms.iter().filter_map(|arm| {
        let weight = arm.weights.get(step)?;
        Some((arm.name.clone(), millionths(*weight)))
    });
    let weights: BTreeMap<String, u32> = weights.collect();
    let known = strata.iter().position(|known| *known == weights);
    let place = known.unwrap_or_else(|| {
        if strata.len() == MAX_STRATA {
            return 0;
        }
        strata.push(weights);
        strata.len() - 1
    });
    u8::try_from(place).unwrap_or(0)
}

/// Returns the place of a word in a list, which grows up to `max`.
fn word(words: &mut Vec<String>, word: &str, max: usize) -> Option<u8> {
    let known = words.iter().position(|known| known == word);
    if known.is_none() {
        if words.len() == max {
            return None;
        }
        words.push(word.to_owned());
    }
    u8::try_from(known.unwrap_or(words.len() - 1)).ok()
}
