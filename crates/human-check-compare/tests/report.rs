//! The content of reports.

#![cfg(feature = "report")]
#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::time::{Duration, SystemTime};

use human_check_compare::report::{Report, html, terminal};
use human_check_compare::{Prices, Record, Statistics};
use human_check_core::{Comparison, Observation, ObservedOutcome};

fn report(first: &str) -> Report {
    let observation = |provider: &str, passed: bool, score: f64| Observation {
        provider: provider.to_owned(),
        outcome: if passed {
            ObservedOutcome::Human
        } else {
            ObservedOutcome::NotHuman("score-too-low".to_owned())
        },
        score: Some(score),
        latency: Some(Duration::from_millis(40)),
    };
    // Not read from a file, which could not hold such names.
    let records: Vec<_> = (0..20_u8)
        .map(|n| Record {
            comparison: Comparison {
                route: None,
                id: None,
                at: SystemTime::UNIX_EPOCH,
                observations: vec![
                    observation(first, n % 2 == 0, f64::from(n) / 20.0),
                    observation("b", n % 3 == 0, 0.5),
                ],
            },
        })
        .collect();
    let prices = Prices::from_toml("p", "[b]\ncurrency=\"EUR\"\nflat_per_month=7\n").unwrap();
    Report {
        statistics: Statistics::of(&records),
        costs: vec![prices.cost(first, 1_000), prices.cost("b", 1_000)],
    }
}

#[test]
fn the_page_fetches_nothing_and_can_be_read_aloud() {
    let page = html(&report("a"));
    for outside in [
        "http://", "https://", "<script", "src=\"", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    let count = |what: &str| page.matches(what).count();
    assert_eq!(count("<table>"), count("<caption>"));
    assert_eq!(
        count("<div class=\"bars\">"),
        5,
        "the pass rates, and scores and latency of each"
    );
    assert!(page.contains("prefers-color-scheme:dark"));
    let warnings = page.find("Read this first").unwrap();
    assert!(warnings < page.find("<table>").unwrap());
    assert!(page.contains("7.00 EUR") && page.contains("none are built in"));
}

#[test]
fn names_are_text_wherever_they_stand() {
    let page = html(&report("<img src=x onerror=alert(1)>\"'&"));
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img"));
}

#[test]
fn the_terminal_has_the_warnings_first_and_the_json_no_nan() {
    let report = report("a");
    let text = terminal(&report);
    let warning = text.find("warning: only 20 visitors").unwrap();
    assert!(warning < text.find("Providers").unwrap());
    for part in ["kappa", "50.0 %", "scores of a", "7.00 EUR"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["records"], 20);
    assert_eq!(json["warnings"][0]["warning"], "few-pairs");
    assert_eq!(json["costs"][1]["amount"], 7.0);
}
