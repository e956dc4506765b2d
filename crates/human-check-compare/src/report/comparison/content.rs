use serde::Serialize;

use super::super::tables::{Tabular, costs, names, percent};
use crate::{Kappa, MonthlyCost, Proportion, Statistics};

/// The content of a report: statistics, and what the providers would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The statistics of the records.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// The cost of each provider, from [`Prices::cost`](crate::Prices::cost). Empty without a price
    /// file.
    pub costs: Vec<MonthlyCost>,
}

impl Report {
    /// Returns the report as one JSON object, on one line. Its members are those of [`Statistics`],
    /// and `costs`.
    pub fn to_json(&self) -> String {
        // Strings, and numbers that are finite by construction, always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns kappa with its interval.
fn kappa(kappa: Kappa) -> String {
    match kappa {
        Kappa::Undefined => "undefined".to_owned(),
        Kappa::Estimate { kappa, interval } => {
            format!("{kappa:.2} ({:.2} to {:.2})", interval.low, interval.high)
        }
    }
}

/// Returns the number of records and their first and last time.
pub(super) fn period(statistics: &Statistics) -> String {
    match (&statistics.from, &statistics.until) {
        (Some(from), Some(until)) => {
            format!("{} records from {from} to {until}", statistics.records)
        }
        _ => "no records".to_owned(),
    }
}

/// Returns one sentence for each two providers: how many more visitors the first one passed.
pub(super) fn differences(statistics: &Statistics) -> Vec<String> {
    let points = |share: f64| format!("{:.1}", share * 100.0);
    let sentence = |pair: &crate::Agreement| {
        let (first, second) = (&pair.first, &pair.second);
        let difference = pair.difference?;
        let (better, other, sign) = match difference.difference < 0.0 {
            true => (second, first, -1.0),
            false => (first, second, 1.0),
        };
        let ends = [
            difference.one_look.low * sign,
            difference.one_look.high * sign,
        ];
        let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let p = match difference.mid_p {
            p if p < 0.001 => "p < 0.001".to_owned(),
            p => format!("p = {p:.3}"),
        };
        let apart = points(difference.difference.abs());
        let (low, high, pairs) = (points(low), points(high), pair.table.pairs());
        Some(match low.starts_with('-') {
            false if difference.mid_p < 0.05 => format!(
                "Of {pairs} visitors that both judged, {better} passed {apart} percentage points more than {other}: between {low} and {high} (Tango's 95 % interval, one look; McNemar's mid-{p})."
            ),
            _ => format!(
                "Of {pairs} visitors that both judged, chance explains the difference: {better} passed {apart} percentage points more than {other}, between {low} and {high} (Tango's 95 % interval, one look; McNemar's mid-{p})."
            ),
        })
    };
    statistics.pairs.iter().filter_map(sentence).collect()
}

/// Returns the table of the days.
fn days(statistics: &Statistics) -> Tabular {
    let mut header = vec![
        "day (UTC)".to_owned(),
        "records".to_owned(),
        "lost".to_owned(),
    ];
    for provider in &statistics.providers {
        header.push(format!("{} passed", provider.provider));
        header.push(format!("{} failed", provider.provider));
    }
    let rows = statistics.days.iter().map(|day| {
        let mut row = vec![
            day.day.clone(),
            day.records.to_string(),
            day.lost.to_string(),
        ];
        for counts in &day.providers {
            let passed = Proportion::new(counts.human, counts.human + counts.refused);
            row.push(passed.map_or("–".to_owned(), |passed| {
                format!("{:.1} %", passed.share * 100.0)
            }));
            row.push(counts.failed.to_string());
        }
        row
    });
    Tabular {
        title: "Days",
        note: "",
        header,
        rows: rows.collect(),
    }
}

/// Returns the tables of a report, in the order of the page.
pub(super) fn tables(report: &Report) -> Vec<Tabular> {
    let statistics = &report.statistics;
    let mut outcomes = Vec::new();
    for p in &statistics.providers {
        let mut row = |outcome: String, count: u64| {
            outcomes.push(vec![p.provider.clone(), outcome, count.to_string()]);
        };
        row("human".to_owned(), p.human);
        for (reason, count) in &p.not_human {
            row(format!("not-human: {reason}"), *count);
        }
        for (reason, count) in &p.unusable {
            row(format!("unusable: {reason}"), *count);
        }
        for (kind, reasons) in &p.failed {
            for (reason, count) in reasons {
                row(format!("failed: {kind}, {reason}"), *count);
            }
        }
        row("no-token".to_owned(), p.no_token);
    }
    let providers = statistics.providers.iter();
    let summary = providers.clone().map(|p| {
        let ms = |of: fn(&crate::Latency) -> f64| {
            p.latency
                .as_ref()
                .map_or("–".to_owned(), |l| format!("{:.1}", of(l)))
        };
        vec![
            p.provider.clone(),
            p.calls().to_string(),
            p.verdicts().to_string(),
            percent(p.pass_rate),
            p.unusable_total().to_string(),
            (p.failures() - p.circuit_open).to_string(),
            p.circuit_open.to_string(),
            ms(|l| l.p50),
            ms(|l| l.p90),
            ms(|l| l.p95),
            ms(|l| l.p99),
        ]
    });
    let failures = providers.clone().filter_map(|p| {
        let latency = p.failure_latency?;
        Some(vec![
            p.provider.clone(),
            latency.count.to_string(),
            format!("{:.1}", latency.p50),
            format!("{:.1}", latency.p95),
        ])
    });
    let pairs = statistics.pairs.iter().map(|pair| {
        let table = pair.table;
        vec![
            format!("{} / {}", pair.first, pair.second),
            table.both_human.to_string(),
            table.first_only.to_string(),
            table.second_only.to_string(),
            table.both_not.to_string(),
            pair.excluded.to_string(),
            percent(pair.agreed),
            kappa(pair.kappa),
        ]
    });
    let mut tables = vec![
        Tabular {
            title: "Providers",
            note: "Pass rates with Wilson's 95 % interval. Unusable tokens (expired, used before, malformed) are neither passed nor refused. Latencies of replies, in milliseconds, by nearest rank.",
            header: names(&[
                "provider",
                "called",
                "judged",
                "passed",
                "unusable",
                "failed",
                "circuit open",
                "p50",
                "p90",
                "p95",
                "p99",
            ]),
            rows: summary.collect(),
        },
        Tabular {
            title: "Outcomes",
            note: "",
            header: names(&["provider", "outcome", "visitors"]),
            rows: outcomes,
        },
        Tabular {
            title: "Failed calls",
            note: "Latencies of calls that failed, in milliseconds. Calls that an open circuit breaker stopped are not among them.",
            header: names(&["provider", "failed", "p50", "p95"]),
            rows: failures.collect(),
        },
        Tabular {
            title: "Agreement",
            note: "Visitors that both providers judged; those that one of the two did not judge are excluded. Cohen's kappa with the 95 % interval of its posterior distribution. Agreement does not show which provider is right.",
            header: names(&[
                "first / second",
                "both human",
                "only first",
                "only second",
                "neither",
                "excluded",
                "agreed",
                "kappa",
            ]),
            rows: pairs.collect(),
        },
    ];
    tables.retain(|table| !table.rows.is_empty());
    if statistics.days.len() > 1 {
        tables.push(days(statistics));
    }
    if !report.costs.is_empty() {
        tables.push(costs(&report.costs));
    }
    tables
}
