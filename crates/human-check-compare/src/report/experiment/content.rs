use serde::Serialize;

use super::super::tables::{Tabular, costs, names, percent};
use crate::estimate::Count;
use crate::interval::float;
use crate::{
    ArmComparison, ArmStatistics, Conclusion, ConfidenceInterval, ExperimentStatistics,
    ExperimentWarning, MonthlyCost, Proportion, Quantile, StopNote,
};

/// The content of the report of an experiment: statistics, and what the arms would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExperimentReport {
    /// The statistics of the experiment.
    #[serde(flatten)]
    pub statistics: ExperimentStatistics,
    /// The cost of each arm, from [`Prices::cost`](crate::Prices::cost). Empty without a price file.
    pub costs: Vec<MonthlyCost>,
    /// The note that the experiment has stopped, from its state file. `None` if it goes on.
    pub stopped: Option<StopNote>,
}

impl ExperimentReport {
    /// Returns the report as one JSON object, on one line. Its members are those of
    /// [`ExperimentStatistics`], and `costs`.
    pub fn to_json(&self) -> String {
        // Strings, and numbers that are finite by construction, always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How good a finding is for the arm.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Bad,
    Good,
    Open,
}

/// An finding: a headline, and sentences below it.
pub(super) struct Finding {
    pub(super) tone: Tone,
    pub(super) headline: String,
    pub(super) sentences: Vec<String>,
}

/// One of the four facts that a reader must know before the numbers.
pub(super) struct Card {
    pub(super) is_bad: bool,
    pub(super) fact: String,
    pub(super) about: String,
}

/// Returns a share in percentage points, with a true minus sign.
pub(super) fn points(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    match text.strip_prefix('-') {
        Some("0.0") => "0.0".to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

fn between(interval: ConfidenceInterval) -> String {
    format!(
        "between {} and {}",
        points(interval.low),
        points(interval.high)
    )
}

/// Returns a number with commas.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the title of the report.
pub(super) fn title(statistics: &ExperimentStatistics) -> String {
    let mut arms = statistics.arms.iter().map(|arm| arm.arm.as_str());
    let current = arms.next().unwrap_or("no arm");
    let others: Vec<_> = arms.collect();
    format!(
        "Experiment {}: {current} (current) and {}",
        statistics.name,
        others.join(", ")
    )
}

/// Returns what the numbers are about.
pub(super) fn subtitle(statistics: &ExperimentStatistics) -> String {
    let days = statistics
        .days
        .as_ref()
        .map_or("no visits".to_owned(), |(from, until)| {
            format!("{from} to {until} (UTC)")
        });
    let until = statistics.until.as_ref();
    let until = until.map_or(String::new(), |until| format!(" · planned until {until}"));
    format!("{days}{until} · visitors are assigned at random · first visits only")
}

/// Returns the finding about each arm.
pub(super) fn findings(report: &ExperimentReport) -> Vec<Finding> {
    let statistics = &report.statistics;
    let stop = report.stopped.as_ref().map(|note| Finding {
        tone: Tone::Bad,
        headline: format!("The experiment has stopped at {}", note.at),
        sentences: vec![format!(
            "{}: {}. All visitors meet the current account. The stop has an interval of its own, which is sharper early.",
            note.arm, note.reason
        )],
    });
    stop.into_iter().chain(found(statistics)).collect()
}

fn found(statistics: &ExperimentStatistics) -> Vec<Finding> {
    if statistics.comparisons.is_empty() {
        return vec![Finding {
            tone: Tone::Open,
            headline: "Nothing to compare yet".to_owned(),
            sentences: vec![
                "The records hold fewer than two arms. Check that these are the files of an experiment."
                    .to_owned(),
            ],
        }];
    }
    statistics
        .comparisons
        .iter()
        .map(|comparison| finding(statistics, comparison))
        .collect()
}

fn finding(statistics: &ExperimentStatistics, comparison: &ArmComparison) -> Finding {
    let (arm, against) = (&comparison.arm, &comparison.against);
    let mut sentences = Vec::new();
    let no_labels = statistics.warnings.contains(&ExperimentWarning::NoLabels);
    let is_better = matches!(comparison.conclusion, Conclusion::Better { .. });
    let is_worse = matches!(comparison.conclusion, Conclusion::Worse { .. });
    if no_labels && (is_better || is_worse) {
        sentences.push(
            "No labels tell how many of the completions were bots, so this says which arm completes more, not which is better."
                .to_owned(),
        );
    }
    let measured = |difference: &f64, interval: &ConfidenceInterval| {
        format!(
            "Completions of those shown a challenge: {} percentage points, {}, at any time you look.",
            points(*difference),
            between(*interval)
        )
    };
    let (tone, headline) = match &comparison.conclusion {
        Conclusion::CannotCompare => {
            sentences.push(
                "The arms do not have the planned shares of visitors, so visitors of one arm are missing. Find out where before you read on."
                    .to_owned(),
            );
            (Tone::Bad, format!("{arm} and {against} cannot be compared"))
        }
        Conclusion::Better {
            difference,
            interval,
        } => {
            sentences.push(measured(difference, interval));
            (Tone::Good, format!("{arm} completes more than {against}"))
        }
        Conclusion::Worse {
            difference,
            interval,
        } => {
            sentences.push(measured(difference, interval));
            (Tone::Bad, format!("{arm} completes less than {against}"))
        }
        Conclusion::NotWorse {
            difference,
            interval,
        } => {
            sentences.push(measured(difference, interval));
            let visitors: u64 = statistics.split.visitors.iter().sum();
            if let Some(planned) = statistics.planned.filter(|planned| *planned > visitors) {
                sentences.push(format!(
                    "{} visitors of the planned {} are still to come; they may still show which completes more.",
                    thousands(planned - visitors),
                    thousands(planned)
                ));
            }
            (
                Tone::Good,
                format!("{arm} is not worse than {against} by more than the margin"),
            )
        }
        Conclusion::NotYet {
            difference,
            interval,
            visitors_to_come,
            days_to_come,
        } => {
            match (difference, interval) {
                (Some(difference), Some(interval)) => {
                    sentences.push(measured(difference, interval));
                }
                _ => sentences.push("Each arm needs 100 visitors for a first interval.".to_owned()),
            }
            sentences.push(match (visitors_to_come, days_to_come) {
                (Some(visitors), Some(days)) => format!(
                    "{} visitors of the planned {} are still to come: about {days} days at the pace so far.",
                    thousands(*visitors),
                    thousands(statistics.planned.unwrap_or_default()),
                ),
                (Some(visitors), None) => {
                    format!("{} visitors are still to come.", thousands(*visitors))
                }
                _ if statistics.planned.is_some() => {
                    "All planned visitors have come: if there is a difference, it is smaller than the one that the experiment was planned for.".to_owned()
                }
                _ => "The experiment has no planned number of visitors; `human-check plan` computes one.".to_owned(),
            });
            (
                Tone::Open,
                format!("Not decided yet between {arm} and {against}"),
            )
        }
    };
    for label in &comparison.labels {
        if let (Some(difference), Some(interval)) = (label.difference, label.one_look) {
            sentences.push(format!(
                "Visitors with the label {}: {} points, {} (one look). Decide yourself whether more of them is good or bad.",
                label.label,
                points(difference),
                between(interval)
            ));
        }
    }
    if let Some(planned) = statistics.planned.filter(|_| is_better || is_worse) {
        let visitors = statistics.split.visitors.iter().sum();
        sentences.push(format!(
            "{:.0} % of the planned {} visitors have come.",
            100.0 * float(visitors) / float(planned.max(1)),
            thousands(planned)
        ));
    }
    Finding {
        tone,
        headline,
        sentences,
    }
}

/// Returns the facts that a reader must know before the numbers: split, losses, outages, settings.
pub(super) fn cards(statistics: &ExperimentStatistics) -> Vec<Card> {
    let split = &statistics.split;
    let visitors: Vec<_> = split.visitors.iter().map(|n| thousands(*n)).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let expected = split.expected.iter().map(|n| thousands(n.round() as u64));
    let expected: Vec<_> = expected.collect();
    let is_outage =
        |warning: &&ExperimentWarning| matches!(warning, ExperimentWarning::Outage { .. });
    let outages = statistics.warnings.iter().filter(is_outage).count();
    let input = &statistics.input;
    let missing = input.lost_total() + input.unreadable;
    let changes = input.config_changes.len();
    vec![
        Card {
            is_bad: !split.is_as_planned,
            fact: match split.is_as_planned {
                true => "split as planned".to_owned(),
                false => "split not as planned".to_owned(),
            },
            about: format!(
                "{} visitors; planned {}",
                visitors.join(" to "),
                expected.join(" to ")
            ),
        },
        Card {
            is_bad: missing > 0,
            fact: format!("{} missing", thousands(missing)),
            about: "events lost or unreadable".to_owned(),
        },
        Card {
            is_bad: outages > 0,
            fact: match outages {
                0 => "no outage".to_owned(),
                1 => "1 day with an outage".to_owned(),
                days => format!("{days} days with an outage"),
            },
            about: "days on which an arm failed 5 % of its verifications".to_owned(),
        },
        Card {
            is_bad: changes > 0,
            fact: match changes {
                0 => "no change".to_owned(),
                1 => "1 change".to_owned(),
                changes => format!("{changes} changes"),
            },
            about: "of the settings during the experiment".to_owned(),
        },
    ]
}

/// Returns a difference with its interval.
fn difference(difference: Option<f64>, interval: Option<ConfidenceInterval>) -> String {
    match (difference, interval) {
        (Some(difference), Some(interval)) => format!(
            "{} ({} to {})",
            points(difference),
            points(interval.low),
            points(interval.high)
        ),
        (Some(difference), None) => format!("{} (too few visitors)", points(difference)),
        _ => "–".to_owned(),
    }
}

fn share(count: u64, of: u64) -> String {
    Count::new(count, of)
        .share()
        .map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn seconds(quantile: Option<Quantile>) -> String {
    let text = |ms: f64| match ms {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    };
    quantile.map_or("–".to_owned(), |quantile| {
        match (quantile.low, quantile.high) {
            (Some(low), Some(high)) => {
                format!("{} ({} to {})", text(quantile.ms), text(low), text(high))
            }
            _ => format!("{} (too few)", text(quantile.ms)),
        }
    })
}

/// Returns the tables, in the order of the page.
pub(super) fn tables(report: &ExperimentReport) -> Vec<Tabular> {
    let statistics = &report.statistics;
    let mut all = vec![funnel(statistics), guardrails(statistics)];
    all.extend(labels(statistics));
    all.extend(visits(statistics));
    all.extend(segments(statistics));
    if !report.costs.is_empty() {
        all.push(costs(&report.costs));
    }
    all
}

fn funnel(statistics: &ExperimentStatistics) -> Tabular {
    let mut header = vec!["step".to_owned()];
    for arm in &statistics.arms {
        header.extend([arm.arm.clone(), "share".to_owned()]);
    }
    for comparison in &statistics.comparisons {
        header.push(format!(
            "{} − {}, any time",
            comparison.arm, comparison.against
        ));
    }
    type StepCount = fn(&ArmStatistics) -> u64;
    let steps: [(&str, StepCount); 6] = [
        ("shown", |arm| arm.shown),
        ("loaded", |arm| arm.loaded),
        ("solved", |arm| arm.solved),
        ("judged", |arm| arm.judged),
        ("passed", |arm| arm.passed),
        ("completed", |arm| arm.completed),
    ];
    let rows = steps.iter().enumerate().map(|(nth, (name, of))| {
        let mut row = vec![(*name).to_owned()];
        for arm in &statistics.arms {
            row.extend([thousands(of(arm)), share(of(arm), arm.shown)]);
        }
        for comparison in &statistics.comparisons {
            row.push(
                match nth.checked_sub(1).and_then(|nth| comparison.steps.get(nth)) {
                    Some(step) => difference(step.difference, step.any_time),
                    None => String::new(),
                },
            );
        }
        row
    });
    Tabular {
        title: "From shown to completed",
        note: "Differences in percentage points, over the steps of the ramp, with intervals that hold at any time. Browsers report what was loaded and solved, so these two steps may be forged, and nothing is decided by them.",
        rows: rows.collect(),
        header,
    }
}

fn guardrails(statistics: &ExperimentStatistics) -> Tabular {
    let mut header = vec!["what".to_owned()];
    header.extend(statistics.arms.iter().map(|arm| arm.arm.clone()));
    let row = |what: &str, of: &dyn Fn(&ArmStatistics) -> String| {
        let mut row = vec![what.to_owned()];
        row.extend(statistics.arms.iter().map(of));
        row
    };
    Tabular {
        title: "Times and errors",
        note: "All visits. Times with intervals that hold at any time. A token that is expired, used before or malformed proves nothing about its visitor.",
        rows: vec![
            row("time to load, median", &|arm| seconds(arm.load_time_p50)),
            row("time to solve, median", &|arm| seconds(arm.solve_time_p50)),
            row("time to solve, 95 of 100", &|arm| {
                seconds(arm.solve_time_p95)
            }),
            row("provider's reply, median", &|arm| seconds(arm.latency_p50)),
            row("could not reach a verdict", &|arm| {
                share(arm.failed, arm.verifications)
            }),
            row("tokens that prove nothing", &|arm| {
                share(arm.unusable, arm.verifications)
            }),
            row("met another account", &|arm| thousands(arm.fallback)),
            row("sent a token of another account", &|arm| {
                thousands(arm.crossed)
            }),
        ],
        header,
    }
}

fn labels(statistics: &ExperimentStatistics) -> Option<Tabular> {
    let rows = statistics.comparisons.iter().flat_map(|comparison| {
        comparison.labels.iter().map(|label| {
            let of =
                |count: Count| format!("{} of {}", thousands(count.count), thousands(count.of));
            vec![
                label.label.clone(),
                format!("{}: {}", comparison.against, of(label.against)),
                format!("{}: {}", comparison.arm, of(label.arm)),
                difference(label.difference, label.one_look),
            ]
        })
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then(|| Tabular {
        title: "Labels",
        note: "Of the visitors who completed and whose time for labels is over. Differences in percentage points, with Newcombe's interval for one look.",
        header: names(&["label", "current", "arm", "difference, one look"]),
        rows,
    })
}

fn visits(statistics: &ExperimentStatistics) -> Option<Tabular> {
    let other = |arm: &ArmStatistics| arm.later_visits.of + arm.unknown_visits.of;
    if statistics.arms.iter().map(other).sum::<u64>() == 0 {
        return None;
    }
    let count = |count: Count| format!("{} of {}", thousands(count.count), thousands(count.of));
    let rows = statistics.arms.iter().map(|arm| {
        vec![
            arm.arm.clone(),
            percent(arm.completion),
            count(arm.later_visits),
            count(arm.unknown_visits),
            arm.all_visits
                .map_or("too few independent visits".to_owned(), |all| {
                    percent(Some(all))
                }),
        ]
    });
    Some(Tabular {
        title: "Visitors who came again",
        note: "Completed of shown. The figures above are of first visits. Of all visits, the interval allows for visits of one visitor that are alike.",
        header: names(&[
            "arm",
            "first visits",
            "later visits",
            "visits without a cookie",
            "all visits",
        ]),
        rows: rows.collect(),
    })
}

fn segments(statistics: &ExperimentStatistics) -> Option<Tabular> {
    let mut header = vec!["segment".to_owned()];
    header.extend(statistics.arms.iter().map(|arm| arm.arm.clone()));
    let rows = statistics.segments.iter().map(|segment| {
        let kind = if segment.is_route { "route " } else { "" };
        let mut row = vec![format!("{kind}{}", segment.name)];
        for arm in &segment.arms {
            row.push(percent(Proportion::new(
                arm.completed.count,
                arm.completed.of,
            )));
        }
        row
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty()).then_some(Tabular {
        title: "Routes and segments",
        note: "Completed of shown, from 100 visitors of each arm on, without tests: of many segments, some differ by chance. Decide by none of them.",
        header,
        rows,
    })
}

/// What the report does not say.
pub(super) const LIMITS: [&str; 4] = [
    "Who was human. A completion is not a human, and a refusal is not a bot: only labels tell what became of visitors.",
    "What would happen under attack. Attackers work on the provider that decides for most visitors.",
    "Why. A difference may come from the provider, its settings, its place on the page, or a slow network.",
    "What comes later. It was one site, these routes, and these days.",
];
