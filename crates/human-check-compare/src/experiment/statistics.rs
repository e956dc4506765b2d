use std::collections::{BTreeMap, BTreeSet};

use human_check_core::Receipt;
use serde::Serialize;

use crate::day::day_name;
use crate::estimate::{
    Count, SPLIT_ALARM, Stratum, clustered_share, split_log_evidence, strata_at_any_time,
    strata_at_one_look, strata_difference,
};
use crate::interval::float;
use crate::{Breach, ConfidenceInterval, Guardrail, Input, Proportion, Quantile};

use super::tally::ExperimentTally;
use super::visitors::{Seen, Visitor};
use super::{Conclusion, ExperimentWarning};

/// The number of visitors for which intervals are tightest, if the experiment plans none.
const TUNED_TO: u64 = 10_000;

/// How many visitors each arm of a segment must have to be shown. Fewer might be recognised.
const MIN_SEGMENT: u64 = 100;

/// The share of verifications of a day that may fail without a warning, and how many must fail for one.
const MAX_FAILED: f64 = 0.05;
const MIN_FAILED: u64 = 5;

/// The number of groups of visitors that buckets tell apart.
const BUCKETS: usize = 256;

/// The effective number of visits below which all visits say nothing.
const MIN_EFFECTIVE: f64 = 30.0;

/// The statistics of an experiment.
///
/// Shares are of the first visits of visitors who were shown a challenge. Read
/// [`split`](Self::split) and [`warnings`](Self::warnings) first: they say whether the rest means
/// anything. docs/how-to/comparing-providers.md explains each number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExperimentStatistics {
    /// The name of the experiment. Empty without a header.
    pub name: String,
    /// What limits the meaning of the numbers.
    pub warnings: Vec<ExperimentWarning>,
    /// Whether the arms have the planned shares of visitors.
    pub split: SplitCheck,
    /// The day of the first and of the last visit. `None` without visits.
    pub days: Option<(String, String)>,
    /// How many visitors of all arms are planned.
    pub planned: Option<u64>,
    /// The day on which it ends, as the plan says.
    pub until: Option<String>,
    /// How much worse an arm may be before it is stopped, as a share.
    pub margin: f64,
    /// The arms. The first one is the current account.
    pub arms: Vec<ArmStatistics>,
    /// Each further arm in comparison with the first.
    pub comparisons: Vec<ArmComparison>,
    /// The routes and the segments with 100 visitors or more in each arm.
    pub segments: Vec<Segment>,
    /// How many events repeated an earlier one of the same receipt, and count nothing.
    pub repeated_events: u64,
    /// How many receipts have events and were never shown, and count nothing.
    pub unknown_receipts: u64,
    /// What was read, and what is missing.
    pub input: Input,
}

/// Whether visitors were assigned to the arms as planned.
///
/// If not, visitors of one arm are missing, and nothing else in the report can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SplitCheck {
    /// Whether the split is as planned. False when the evidence against it is 1,000 to 1 or more.
    pub is_as_planned: bool,
    /// The logarithm of the evidence against it.
    pub log_evidence: f64,
    /// How many visitors each arm has, in the order of the arms.
    pub visitors: Vec<u64>,
    /// How many it would have as planned.
    pub expected: Vec<f64>,
}

/// The statistics of one arm.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ArmStatistics {
    /// The name of the arm.
    pub arm: String,
    /// How many visitors were shown a challenge, at their first visit.
    pub shown: u64,
    /// How many of them have loaded the widget.
    pub loaded: u64,
    /// How many of them have solved the challenge.
    pub solved: u64,
    /// How many of them sent a token that was judged.
    pub judged: u64,
    /// How many of them passed.
    pub passed: u64,
    /// How many of them completed what they came for.
    pub completed: u64,
    /// The share of those shown that completed, with its interval for one look.
    pub completion: Option<Proportion>,
    /// How many of them met the challenge of another account, because that of the arm was down.
    pub fallback: u64,
    /// How many of them sent a token of another account than the page showed.
    pub crossed: u64,
    /// Later visits that were shown a challenge, and those of them that completed.
    pub later_visits: Count,
    /// Visits of which no cookie told whether they were first ones, and those of them that completed.
    pub unknown_visits: Count,
    /// The share of all visits that completed, where visits of one visitor may be alike. `None` where a
    /// few visitors dominate.
    pub all_visits: Option<Proportion>,
    /// How many verifications there were, of all visits.
    pub verifications: u64,
    /// How many of them could not reach a verdict.
    pub failed: u64,
    /// How many of them were of tokens that prove nothing: expired, used before, malformed.
    pub unusable: u64,
    /// The median time until the widget was loaded.
    pub load_time_p50: Option<Quantile>,
    /// The median time from the widget to the solved challenge.
    pub solve_time_p50: Option<Quantile>,
    /// The 95th percentile of that time.
    pub solve_time_p95: Option<Quantile>,
    /// The median time of the provider's replies.
    pub latency_p50: Option<Quantile>,
}

/// One arm in comparison with the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ArmComparison {
    /// The name of the arm.
    pub arm: String,
    /// The name of the first arm.
    pub against: String,
    /// What it says so far.
    pub conclusion: Conclusion,
    /// How it breaks the [`Guardrail`](crate::Guardrail) of the experiment. `None` if it does not.
    pub breach: Option<Breach>,
    /// The differences of each step of the funnel.
    pub steps: Vec<StepDifference>,
    /// The difference of completions of all visitors up to each day.
    pub by_day: Vec<DayDifference>,
    /// The differences of labels.
    pub labels: Vec<LabelDifference>,
}

/// The difference of one step of the funnel: the share of the arm minus that of the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepDifference {
    /// The step: `loaded`, `solved`, `judged`, `passed` or `completed`.
    pub step: &'static str,
    /// The difference, as a share. `None` without visitors of both arms.
    pub difference: Option<f64>,
    /// Its interval for one look at the end.
    pub one_look: Option<ConfidenceInterval>,
    /// Its interval for all looks together. `None` before each arm has 100 visitors.
    pub any_time: Option<ConfidenceInterval>,
}

/// The difference of completions of all visitors up to one day.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DayDifference {
    /// The day, in UTC.
    pub day: String,
    /// How many visitors of both arms came up to this day.
    pub visitors: u64,
    /// How many events were lost on this day.
    pub lost: u64,
    /// The difference, as a share.
    pub difference: Option<f64>,
    /// Its interval for all looks together.
    pub any_time: Option<ConfidenceInterval>,
}

/// The difference of a label, such as `chargeback`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelDifference {
    /// The label.
    pub label: String,
    /// How many visitors of the arm have it, of those that are old enough and completed.
    pub arm: Count,
    /// The same of the first arm.
    pub against: Count,
    /// The difference, as a share.
    pub difference: Option<f64>,
    /// Its interval for one look.
    pub one_look: Option<ConfidenceInterval>,
}

/// The completions of the visitors of a route or of a segment. They are shown without tests: of many
/// segments, some differ by chance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// The route or the word.
    pub name: String,
    /// Whether it is a route.
    pub is_route: bool,
    /// The arms, in their order.
    pub arms: Vec<SegmentArm>,
}

/// The completions of one arm in a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SegmentArm {
    /// How many completed, of those shown.
    pub completed: Count,
}

impl ExperimentStatistics {
    /// Returns the arm that breaks the [`Guardrail`](crate::Guardrail) of the experiment, and how. `None`
    /// if none does.
    pub fn breach(&self) -> Option<(&str, Breach)> {
        self.comparisons
            .iter()
            .find_map(|comparison| Some((comparison.arm.as_str(), comparison.breach?)))
    }
}

/// The steps of the funnel after the first one.
const STEPS: [(&str, Seen); 5] = [
    ("loaded", Seen::LOADED),
    ("solved", Seen::SOLVED),
    ("judged", Seen::JUDGED),
    ("passed", Seen::PASSED),
    ("completed", Seen::COMPLETED),
];

/// The place of the last step.
const COMPLETED: usize = 4;

/// The stratum of visitors whose weights no header names. They are compared with no one.
const UNPLANNED: u8 = 0;

/// The share of such visitors beyond which the others may not be those that were drawn.
const MAX_UNPLANNED: f64 = 0.01;

/// The counts of visitors, by what they are compared by.
#[derive(Default)]
struct Counts {
    /// By arm and stratum: how many were shown, and how many reached each step.
    by_step: BTreeMap<(usize, u8), (u64, [u64; 5])>,
    /// By day, arm and stratum: completions.
    by_day: BTreeMap<u32, BTreeMap<(usize, u8), Count>>,
    by_route: BTreeMap<(u8, usize), Count>,
    by_segment: BTreeMap<(u8, usize), Count>,
    fallback: Vec<u64>,
    crossed: Vec<u64>,
}

/// Returns whether a visit is compared: a first one, or any if no cookie tells first visits apart.
fn counts_as_first(visitor: &Visitor, knows_visits: bool) -> bool {
    let is_first = match visitor.has(Seen::VISIT_KNOWN) {
        true => visitor.has(Seen::FIRST),
        false => !knows_visits,
    };
    visitor.has(Seen::SHOWN) && visitor.stratum != UNPLANNED && is_first
}

fn add(count: &mut Count, is_in: bool) {
    count.of += 1;
    count.count += u64::from(is_in);
}

/// Returns the counts of an arm and of the first one in each stratum.
fn strata_of(
    strata: &BTreeSet<u8>,
    arm: usize,
    count: impl Fn(usize, u8) -> Count,
) -> Vec<Stratum> {
    let strata = strata.iter();
    strata
        .map(|stratum| Stratum::new(count(arm, *stratum), count(0, *stratum)))
        .collect()
}

impl Counts {
    fn add(&mut self, visitor: Visitor) {
        let arm = usize::from(visitor.arm);
        let completed = visitor.has(Seen::COMPLETED);
        let (shown, steps) = self.by_step.entry((arm, visitor.stratum)).or_default();
        *shown += 1;
        for (count, (_, seen)) in steps.iter_mut().zip(STEPS) {
            *count += u64::from(visitor.has(seen));
        }
        let day = self.by_day.entry(u32::from(visitor.day)).or_default();
        add(day.entry((arm, visitor.stratum)).or_default(), completed);
        add(
            self.by_route.entry((visitor.route, arm)).or_default(),
            completed,
        );
        if visitor.segment > 0 {
            let segment = self.by_segment.entry((visitor.segment, arm));
            add(segment.or_default(), completed);
        }
        self.fallback[arm] += u64::from(visitor.has(Seen::FALLBACK));
        self.crossed[arm] += u64::from(visitor.has(Seen::CROSSED));
    }

    /// Returns how many visitors of an arm were shown a challenge, and how many reached each step.
    fn of_arm(&self, arm: usize) -> (u64, [u64; 5]) {
        let mut sum = (0, [0; 5]);
        for ((_, _), (shown, steps)) in self.by_step.iter().filter(|((of, _), _)| *of == arm) {
            sum.0 += shown;
            for (sum, count) in sum.1.iter_mut().zip(steps) {
                *sum += count;
            }
        }
        sum
    }

    /// Returns the strata of an arm and the first one, for a step of the funnel.
    fn strata(&self, arm: usize, step: usize) -> Vec<Stratum> {
        let strata = self.by_step.keys().map(|(_, stratum)| *stratum).collect();
        strata_of(&strata, arm, |arm, stratum| {
            let counts = self.by_step.get(&(arm, stratum));
            counts.map_or(Count::default(), |(shown, steps)| {
                Count::new(steps[step], *shown)
            })
        })
    }
}

impl ExperimentTally {
    /// Returns the statistics of all counted events, with what an [`InputWatch`](crate::InputWatch) saw
    /// of their files.
    pub fn statistics_of(mut self, input: Input) -> ExperimentStatistics {
        let arms = self.arms.len();
        let mut counts = Counts {
            fallback: vec![0; arms],
            crossed: vec![0; arms],
            ..Counts::default()
        };
        let mut later = vec![Count::default(); arms];
        let mut unknown = vec![Count::default(); arms];
        let mut buckets = vec![vec![Count::default(); BUCKETS]; arms];
        let mut unknown_receipts = 0;
        let is_shown = |visitor: &&Visitor| visitor.has(Seen::SHOWN);
        // Without a cookie, no visit is known to be a first one. Then all count.
        let knows_visits = self
            .visitors
            .all()
            .filter(is_shown)
            .any(|visitor| visitor.has(Seen::VISIT_KNOWN));
        let mut unplanned = 0;
        for visitor in self.visitors.all() {
            if !visitor.has(Seen::SHOWN) {
                unknown_receipts += 1;
                continue;
            }
            if visitor.stratum == UNPLANNED {
                unplanned += 1;
                continue;
            }
            let (arm, completed) = (usize::from(visitor.arm), visitor.has(Seen::COMPLETED));
            if visitor.has(Seen::HAS_BUCKET) {
                add(&mut buckets[arm][usize::from(visitor.bucket)], completed);
            }
            if counts_as_first(visitor, knows_visits) {
                counts.add(*visitor);
            }
            match (visitor.has(Seen::VISIT_KNOWN), visitor.has(Seen::FIRST)) {
                (true, true) => {}
                (true, false) => add(&mut later[arm], completed),
                (false, _) => add(&mut unknown[arm], completed),
            }
        }
        let plan = self.plan.take();
        let planned = plan.as_ref().and_then(|plan| plan.planned);
        let margin = plan.as_ref().and_then(|plan| plan.margin).unwrap_or(0.0);
        let split = self.split(&counts, unplanned);
        let labels = self.labels(knows_visits);
        let mut statistics = Vec::new();
        let names = self.arms.clone();
        for (arm, name) in names.iter().enumerate() {
            let (shown, steps) = counts.of_arm(arm);
            let calls = &mut self.calls[arm];
            let all_visits = clustered_share(&buckets[arm])
                .filter(|share| share.effective_size >= MIN_EFFECTIVE);
            let visits: Count = buckets[arm].iter().copied().sum();
            statistics.push(ArmStatistics {
                arm: name.clone(),
                shown,
                loaded: steps[0],
                solved: steps[1],
                judged: steps[2],
                passed: steps[3],
                completed: steps[COMPLETED],
                completion: Proportion::new(steps[COMPLETED], shown),
                fallback: counts.fallback[arm],
                crossed: counts.crossed[arm],
                later_visits: later[arm],
                unknown_visits: unknown[arm],
                all_visits: all_visits.map(|share| Proportion {
                    count: visits.count,
                    of: visits.of,
                    share: share.share,
                    interval: share.interval,
                }),
                verifications: calls.verifications,
                failed: calls.failed,
                unusable: calls.unusable,
                load_time_p50: calls.load_times.quantile(0.5),
                solve_time_p50: calls.solve_times.quantile(0.5),
                solve_time_p95: calls.solve_times.quantile(0.95),
                latency_p50: calls.latencies.quantile(0.5),
            });
        }
        let tuned_to = planned.unwrap_or(TUNED_TO);
        let comparisons = (1..arms)
            .map(|arm| {
                let reached = |step: usize| {
                    let all = (0..names.len()).map(|arm| counts.of_arm(arm).1[step]);
                    all.sum::<u64>() > 0 || step == COMPLETED
                };
                let steps = STEPS.iter().enumerate().map(|(step, (name, _))| {
                    let strata = match reached(step) {
                        true => counts.strata(arm, step),
                        // No page reports this step.
                        false => Vec::new(),
                    };
                    StepDifference {
                        step: name,
                        difference: strata_difference(&strata),
                        one_look: strata_at_one_look(&strata),
                        any_time: strata_at_any_time(&strata, tuned_to, arms - 1),
                    }
                });
                let steps: Vec<_> = steps.collect();
                let by_day = self.by_day(&counts, arm, tuned_to);
                ArmComparison {
                    arm: names[arm].clone(),
                    against: names[0].clone(),
                    breach: Guardrail::new(margin)
                        .with_comparisons(arms - 1)
                        .broken_by(&counts.strata(arm, COMPLETED)),
                    conclusion: conclude(&steps[COMPLETED], &split, &by_day, planned, margin),
                    steps,
                    by_day,
                    labels: labels.get(arm).cloned().unwrap_or_default(),
                }
            })
            .collect();
        let mut warnings = self.warnings(&statistics, &split, &input, knows_visits);
        if unplanned > 0 {
            warnings.push(ExperimentWarning::UnplannedVisits { visits: unplanned });
        }
        let is_compared = |label: &LabelDifference| label.arm.of > 0 && label.against.of > 0;
        if !labels.iter().flatten().any(is_compared) {
            warnings.push(ExperimentWarning::NoLabels);
        }
        ExperimentStatistics {
            name: plan
                .as_ref()
                .map_or_else(String::new, |plan| plan.name.clone()),
            warnings,
            split,
            days: self.range.map(|(from, until)| {
                let day = |at| day_name(crate::day::day_number(at));
                (day(from), day(until))
            }),
            planned,
            until: plan.and_then(|plan| plan.until),
            margin,
            arms: statistics,
            comparisons,
            segments: self.segments(&counts),
            repeated_events: self.repeated,
            unknown_receipts,
            input,
        }
    }

    /// Compares the numbers of visitors with the weights of each stratum.
    fn split(&self, counts: &Counts, unplanned: u64) -> SplitCheck {
        let shown = |arm, stratum| {
            let counts = counts.by_step.get(&(arm, stratum));
            counts.map_or(0, |(shown, _)| *shown)
        };
        let arms = self.arms.len();
        let (mut log_evidence, mut expected) = (0.0, vec![0.0; arms]);
        let steps: BTreeSet<u8> = counts.by_step.keys().map(|(_, step)| *step).collect();
        for step in steps {
            let weights = &self.strata[usize::from(step)];
            let weight = |name: &String| weights.get(name).map_or(0.0, |weight| f64::from(*weight));
            let weights: Vec<f64> = self.arms.iter().map(weight).collect();
            let sum: f64 = weights.iter().sum();
            let visitors: Vec<u64> = (0..arms).map(|arm| shown(arm, step)).collect();
            let total: u64 = visitors.iter().sum();
            if sum <= 0.0 {
                log_evidence = f64::INFINITY;
                continue;
            }
            for (expected, weight) in expected.iter_mut().zip(&weights) {
                *expected += float(total) * weight / sum;
            }
            // Arms without a weight take no part in the check.
            let part: Vec<_> = visitors
                .iter()
                .zip(&weights)
                .filter(|(_, w)| **w > 0.0)
                .collect();
            if part.len() > 1 {
                let visitors: Vec<u64> = part.iter().map(|(visitors, _)| **visitors).collect();
                let shares: Vec<f64> = part.iter().map(|(_, weight)| **weight / sum).collect();
                log_evidence += split_log_evidence(&visitors, &shares);
            }
        }
        let all: u64 = (0..arms).map(|arm| counts.of_arm(arm).0).sum();
        if float(unplanned) > MAX_UNPLANNED * float(all + unplanned) {
            log_evidence = f64::INFINITY;
        }
        SplitCheck {
            is_as_planned: log_evidence < SPLIT_ALARM,
            log_evidence: log_evidence.min(f64::MAX),
            visitors: (0..arms).map(|arm| counts.of_arm(arm).0).collect(),
            expected,
        }
    }

    /// Returns the difference of completions of all visitors up to each day.
    fn by_day(&self, counts: &Counts, arm: usize, tuned_to: u64) -> Vec<DayDifference> {
        let mut sums: BTreeMap<(usize, u8), Count> = BTreeMap::new();
        let mut days = Vec::new();
        for (day, of_day) in &counts.by_day {
            for (key, count) in of_day {
                let sum = sums.entry(*key).or_default();
                *sum = *sum + *count;
            }
            let strata = sums.keys().map(|(_, stratum)| *stratum).collect();
            let strata = strata_of(&strata, arm, |arm, stratum| {
                sums.get(&(arm, stratum)).copied().unwrap_or_default()
            });
            days.push(DayDifference {
                day: day_name(*day),
                visitors: strata.iter().map(|s| s.first.of + s.second.of).sum(),
                lost: self.lost_by_day.get(day).copied().unwrap_or(0),
                difference: strata_difference(&strata),
                any_time: strata_at_any_time(&strata, tuned_to, self.arms.len() - 1),
            });
        }
        days
    }

    /// Returns the differences of labels of each arm. Only visitors who completed, and whose window of
    /// time is over, are compared.
    fn labels(&self, knows_visits: bool) -> Vec<Vec<LabelDifference>> {
        let arms = self.arms.len();
        let mut all = vec![Vec::new(); arms];
        let until = self.today();
        let window = u32::try_from(self.label_window.as_secs() / 86_400).unwrap_or(u32::MAX);
        let is_old = |visitor: &Visitor| u32::from(visitor.day).saturating_add(window) <= until;
        let is_counted = |visitor: &Visitor| {
            visitor.has(Seen::COMPLETED)
                && counts_as_first(visitor, knows_visits)
                && is_old(visitor)
        };
        // By arm and stratum, because labels of different days differ, too.
        let mut old: BTreeMap<(usize, u8), u64> = BTreeMap::new();
        for visitor in self.visitors.all().filter(|visitor| is_counted(visitor)) {
            *old.entry((usize::from(visitor.arm), visitor.stratum))
                .or_default() += 1;
        }
        let strata: BTreeSet<u8> = old.keys().map(|(_, stratum)| *stratum).collect();
        let mut with: BTreeMap<(usize, u8, usize), u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (receipt, label, day) in &self.labelled {
            let Some(visitor) = self.visitors.get(*receipt) else {
                continue;
            };
            let in_window = *day <= u32::from(visitor.day).saturating_add(window);
            if in_window && is_counted(visitor) && seen.insert((*receipt, *label)) {
                let key = (usize::from(visitor.arm), visitor.stratum, *label);
                *with.entry(key).or_default() += 1;
            }
        }
        for (arm, differences) in all.iter_mut().enumerate().skip(1) {
            for (label, name) in self.labels.iter().enumerate() {
                let count = |arm, stratum| {
                    let count = with.get(&(arm, stratum, label)).copied().unwrap_or(0);
                    let of = old.get(&(arm, stratum)).copied().unwrap_or(0);
                    Count::new(count, of)
                };
                let pairs = strata_of(&strata, arm, count);
                differences.push(LabelDifference {
                    label: name.clone(),
                    arm: pairs.iter().map(|pair| pair.first).sum(),
                    against: pairs.iter().map(|pair| pair.second).sum(),
                    difference: strata_difference(&pairs),
                    one_look: strata_at_one_look(&pairs),
                });
            }
        }
        all
    }

    /// Returns the routes and the segments that are large enough. One route alone is left out.
    fn segments(&self, counts: &Counts) -> Vec<Segment> {
        let segment = |name: &str, is_route, of: &dyn Fn(usize) -> Count| Segment {
            name: name.to_owned(),
            is_route,
            arms: (0..self.arms.len())
                .map(|arm| SegmentArm { completed: of(arm) })
                .collect(),
        };
        let place = |place| u8::try_from(place).unwrap_or(u8::MAX);
        let routes = self.routes.iter().enumerate().map(|(route, name)| {
            segment(name, true, &|arm| {
                let count = counts.by_route.get(&(place(route), arm));
                count.copied().unwrap_or_default()
            })
        });
        let routes = routes.filter(|_| self.routes.len() > 1);
        let words = self.segments.iter().enumerate().skip(1);
        let words = words.map(|(word, name)| {
            segment(name, false, &|arm| {
                let count = counts.by_segment.get(&(place(word), arm));
                count.copied().unwrap_or_default()
            })
        });
        routes
            .chain(words)
            .filter(|segment| {
                segment
                    .arms
                    .iter()
                    .all(|arm| arm.completed.of >= MIN_SEGMENT)
            })
            .collect()
    }

    fn warnings(
        &self,
        arms: &[ArmStatistics],
        split: &SplitCheck,
        input: &Input,
        knows_visits: bool,
    ) -> Vec<ExperimentWarning> {
        let mut all = Vec::new();
        if !input.repeated_files.is_empty() {
            all.push(ExperimentWarning::RepeatedFiles {
                files: input.repeated_files.clone(),
            });
        }
        if input.unreadable > 0 {
            all.push(ExperimentWarning::Unreadable {
                lines: input.unreadable,
                first: input.first_unreadable.clone(),
            });
        }
        if input.lost_total() > 0 {
            all.push(ExperimentWarning::Lost {
                lost: input.lost_total(),
                shown: split.visitors.iter().sum(),
            });
        }
        if input.clock_went_back + input.in_the_future > 0 {
            all.push(ExperimentWarning::OddClock {
                went_back: input.clock_went_back,
                in_the_future: input.in_the_future,
            });
        }
        if !input.config_changes.is_empty() {
            all.push(ExperimentWarning::SettingsChanged {
                at: input.config_changes.clone(),
            });
        }
        if !self.others.is_empty() {
            all.push(ExperimentWarning::OtherExperiments {
                names: self.others.iter().cloned().collect(),
            });
        }
        let unknown: u64 = arms.iter().map(|arm| arm.unknown_visits.of).sum();
        if !knows_visits && unknown > 0 {
            all.push(ExperimentWarning::UnknownVisits { visits: unknown });
        }
        let verifications: u64 = arms.iter().map(|arm| arm.verifications).sum();
        let (visitors, all_expected) = (&split.visitors, &split.expected);
        let total = float(visitors.iter().sum());
        for (arm, expected) in arms.iter().zip(all_expected) {
            let share = float(arm.verifications) / float(verifications.max(1));
            let weight = expected / total.max(1.0);
            if *expected > 0.0 && verifications >= MIN_SEGMENT && share > 2.0 * weight {
                all.push(ExperimentWarning::TooManyVerifications {
                    arm: arm.arm.clone(),
                    share,
                    weight,
                });
            }
            if arm.fallback > 0 {
                all.push(ExperimentWarning::Fallbacks {
                    arm: arm.arm.clone(),
                    visitors: arm.fallback,
                    of: arm.shown,
                });
            }
        }
        for (arm, calls) in arms.iter().zip(&self.calls) {
            for (day, (of, failed)) in &calls.days {
                if *failed >= MIN_FAILED && float(*failed) > MAX_FAILED * float(*of) {
                    all.push(ExperimentWarning::Outage {
                        arm: arm.arm.clone(),
                        day: day_name(*day),
                        failed: *failed,
                        of: *of,
                    });
                }
            }
        }
        let is_unknown = |receipt: &Receipt| {
            let visitor = self.visitors.get(*receipt);
            visitor.is_none_or(|visitor| !visitor.has(Seen::SHOWN))
        };
        let unknown = self
            .labelled
            .iter()
            .filter(|(receipt, ..)| is_unknown(receipt))
            .count();
        if unknown > 0 {
            all.push(ExperimentWarning::UnknownLabels {
                labels: u64::try_from(unknown).unwrap_or(u64::MAX),
            });
        }
        all
    }
}

/// Returns what the difference of completions says.
fn conclude(
    completed: &StepDifference,
    split: &SplitCheck,
    by_day: &[DayDifference],
    planned: Option<u64>,
    margin: f64,
) -> Conclusion {
    if !split.is_as_planned {
        return Conclusion::CannotCompare;
    }
    let visitors = by_day.last().map_or(0, |day| day.visitors);
    let to_come = planned
        .map(|planned| planned.saturating_sub(visitors))
        .filter(|n| *n > 0);
    match (completed.difference, completed.any_time) {
        (Some(difference), Some(interval)) if interval.low > 0.0 => Conclusion::Better {
            difference,
            interval,
        },
        (Some(difference), Some(interval)) if interval.high < 0.0 => Conclusion::Worse {
            difference,
            interval,
        },
        (Some(difference), Some(interval)) if margin > 0.0 && interval.low > -margin => {
            Conclusion::NotWorse {
                difference,
                interval,
            }
        }
        (difference, interval) => Conclusion::NotYet {
            difference,
            interval,
            visitors_to_come: to_come,
            days_to_come: to_come.filter(|_| by_day.len() > 1).map(|to_come| {
                let days = u64::try_from(by_day.len()).unwrap_or(1);
                to_come.saturating_mul(days).div_ceil(visitors.max(1))
            }),
        },
    }
}
