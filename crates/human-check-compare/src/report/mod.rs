//! Reports of statistics: tables for a terminal, JSON for a program, and one HTML page.
//!
//! ```
//! use human_check_compare::Statistics;
//! use human_check_compare::report::{Report, html, terminal};
//!
//! let report = Report { statistics: Statistics::of(&[]), costs: Vec::new() };
//! println!("{}", terminal(&report));
//! assert!(html(&report).starts_with("<!DOCTYPE html>"));
//! assert!(report.to_json().starts_with('{'));
//! ```

mod escaped;
mod html;
mod plot;
mod terminal;

pub use html::html;
pub use terminal::terminal;

use serde::Serialize;

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

/// The note below the table of costs.
const PRICES_NOTE: &str =
    "Prices are those of your price file; none are built in. Each visitor is one check.";

/// Returns a share in per cent with its interval, or a dash.
fn percent(share: Option<Proportion>) -> String {
    share.map_or("–".to_owned(), |share| {
        let Proportion { interval, .. } = share;
        format!(
            "{:.1} % ({:.1}–{:.1})",
            share.share * 100.0,
            interval.low * 100.0,
            interval.high * 100.0
        )
    })
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

/// Returns the amount with its currency, or why it is unknown.
fn amount(cost: &MonthlyCost) -> String {
    match (&cost.currency, cost.amount) {
        (Some(currency), Some(amount)) => format!("{amount:.2} {currency}"),
        (Some(_), None) => "no price for this volume".to_owned(),
        (None, _) => "not in the price file".to_owned(),
    }
}

/// Returns the number of records and their first and last time.
fn period(statistics: &Statistics) -> String {
    match (&statistics.from, &statistics.until) {
        (Some(from), Some(until)) => {
            format!("{} records from {from} to {until}", statistics.records)
        }
        _ => "no records".to_owned(),
    }
}

/// A table that both the terminal and the page show.
struct Tabular {
    title: &'static str,
    /// The text below the table.
    note: &'static str,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Returns the tables of a report, in the order of the page.
fn tables(report: &Report) -> Vec<Tabular> {
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
            p.failures().to_string(),
            ms(|l| l.p50),
            ms(|l| l.p90),
            ms(|l| l.p95),
            ms(|l| l.p99),
        ]
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
            note: "Pass rates with Wilson's 95 % interval. Latencies in milliseconds, by nearest rank, failures included.",
            header: vec![
                "provider", "called", "judged", "passed", "failed", "p50", "p90", "p95", "p99",
            ],
            rows: summary.collect(),
        },
        Tabular {
            title: "Outcomes",
            note: "",
            header: vec!["provider", "outcome", "visitors"],
            rows: outcomes,
        },
        Tabular {
            title: "Agreement",
            note: "Visitors that both providers judged; those that one of the two did not judge are excluded. Cohen's kappa with the 95 % interval of its posterior distribution. Agreement does not show which provider is right.",
            header: vec![
                "first / second",
                "both human",
                "only first",
                "only second",
                "neither",
                "excluded",
                "agreed",
                "kappa",
            ],
            rows: pairs.collect(),
        },
    ];
    if !report.costs.is_empty() {
        let costs = report.costs.iter().map(|cost| {
            vec![
                cost.provider.clone(),
                cost.monthly_volume.to_string(),
                amount(cost),
            ]
        });
        tables.push(Tabular {
            title: "Cost per month",
            note: PRICES_NOTE,
            header: vec!["provider", "checks", "cost"],
            rows: costs.collect(),
        });
    }
    tables
}
