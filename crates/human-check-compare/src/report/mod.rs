//! What statistics look like: tables for a terminal, JSON for a program, one page for people.

mod html;
mod plot;
mod terminal;

pub use html::html;
pub use terminal::terminal;

use serde::Serialize;

use crate::{Kappa, MonthlyCost, Proportion, Statistics};

/// Statistics and what the providers would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What the records say.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// One a provider, where there is a price file.
    pub costs: Vec<MonthlyCost>,
}

impl Report {
    /// The same as one JSON object.
    pub fn to_json(&self) -> String {
        // Strings, and numbers that are finite by construction, always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What these pages say of prices.
const OF_PRICES: &str =
    "Prices are those of your price file; none are built in. Each visitor is one check.";

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

fn kappa(kappa: Kappa) -> String {
    match kappa {
        Kappa::Undefined => "undefined".to_owned(),
        Kappa::Estimate {
            kappa,
            interval: Some(interval),
            ..
        } => format!("{kappa:.2} ({:.2} to {:.2})", interval.low, interval.high),
        Kappa::Estimate { kappa, .. } => format!("{kappa:.2} (no interval: never disagreed)"),
    }
}

fn amount(cost: &MonthlyCost) -> String {
    match (&cost.currency, cost.amount) {
        (Some(currency), Some(amount)) => format!("{amount:.2} {currency}"),
        (Some(_), None) => "not known for so many".to_owned(),
        (None, _) => "not in the price file".to_owned(),
    }
}

fn period(statistics: &Statistics) -> String {
    match (&statistics.from, &statistics.until) {
        (Some(from), Some(until)) => {
            format!("{} records from {from} to {until}", statistics.records)
        }
        _ => "no records".to_owned(),
    }
}

/// The tables that both the terminal and the page show.
struct Tabular {
    title: &'static str,
    note: &'static str,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

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
            p.asked().to_string(),
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
                "provider", "asked", "judged", "passed", "failed", "p50", "p90", "p95", "p99",
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
            note: "Of visitors whom both judged; excluded are those whom one of the two did not. Cohen's kappa with its 95 % interval (Fleiss, Cohen and Everitt 1969). Agreement does not say who is right.",
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
            title: "MonthlyCost a month",
            note: OF_PRICES,
            header: vec!["provider", "checks", "cost"],
            rows: costs.collect(),
        });
    }
    tables
}
