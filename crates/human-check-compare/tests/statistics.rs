//! The statistics of records, and their warnings.

#![cfg(feature = "statistics")]
#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::time::{Duration, SystemTime};

use human_check_compare::{InputWatch, Kappa, Record, RecordReader, Statistics, Tally, Warning};
use human_check_core::{Comparison, Observation, ObservedOutcome};
use proptest::prelude::*;

fn observation(provider: &str, outcome: ObservedOutcome, score: Option<f64>) -> Observation {
    let latency = (outcome != ObservedOutcome::NoToken).then_some(Duration::from_millis(40));
    Observation {
        provider: provider.to_owned(),
        outcome,
        score,
        latency,
    }
}

fn record(minute: u64, observations: Vec<Observation>) -> Record {
    Record::from(Comparison {
        route: None,
        id: None,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60),
        observations,
    })
}

fn no(reason: &str) -> ObservedOutcome {
    ObservedOutcome::NotHuman(reason.to_owned())
}

/// The classic table of 20, 5, 10 and 15, with scores.
fn classic() -> Vec<Record> {
    let cells = [
        (20, ObservedOutcome::Human, ObservedOutcome::Human),
        (5, ObservedOutcome::Human, no("score-too-low")),
        (10, no("invalid"), ObservedOutcome::Human),
        (15, no("invalid"), no("score-too-low")),
    ];
    let mut records = Vec::new();
    for (count, first, second) in cells {
        for minute in 0..count {
            let first = observation("turnstile", first.clone(), Some(0.9));
            let second = observation("hcaptcha", second.clone(), Some(0.3));
            records.push(record(minute, vec![first, second]));
        }
    }
    records
}

#[test]
fn outcomes_agreement_scores_and_times_are_counted() {
    let mut records = classic();
    let failure = ObservedOutcome::Failed("unavailable".to_owned(), "timeout".to_owned());
    records.push(record(
        3,
        vec![
            observation("turnstile", failure, None),
            observation("hcaptcha", ObservedOutcome::NoToken, None),
        ],
    ));
    let statistics = Statistics::of(&records);
    assert_eq!(statistics.warnings, []);
    assert_eq!(statistics.records, 51);
    let turnstile = &statistics.providers[0];
    assert_eq!(
        (turnstile.human, turnstile.refused(), turnstile.failures()),
        (25, 25, 1)
    );
    assert_eq!(turnstile.not_human["invalid"], 25);
    assert_eq!(turnstile.failed["unavailable"]["timeout"], 1);
    assert_eq!(turnstile.pass_rate.unwrap().share, 0.5);
    assert_eq!(turnstile.scores.as_ref().unwrap().bins[18], 50);
    assert_eq!(turnstile.latency.unwrap().count, 50, "of replies only");
    assert_eq!(turnstile.failure_latency.unwrap().count, 1);
    assert_eq!(statistics.providers[1].no_token, 1);
    let pair = &statistics.pairs[0];
    assert_eq!((pair.table.pairs(), pair.excluded), (50, 1));
    let Kappa::Estimate { kappa, .. } = pair.kappa else {
        panic!("it is defined")
    };
    assert!((kappa - 0.4).abs() < 1e-12);
}

#[test]
fn what_limits_the_numbers_is_said() {
    let warnings = |records: &[Record]| -> String {
        let all = Statistics::of(records).warnings;
        all.iter().map(|warning| format!("{warning}\n")).collect()
    };
    assert!(warnings(&[]).contains("a comparison needs two"));
    let alone = record(0, vec![observation("a", ObservedOutcome::Human, None)]);
    assert!(warnings(&[alone]).contains("a comparison needs two"));
    let few = warnings(&classic()[..10]);
    assert!(
        few.contains("only 10 visitors") && few.contains("undefined"),
        "{few}"
    );
    // One provider is called in the first half of the time only.
    let records: Vec<_> = (0..100)
        .map(|minute| {
            let second = if minute < 50 {
                ObservedOutcome::Human
            } else {
                ObservedOutcome::NoToken
            };
            record(
                minute,
                vec![
                    observation("a", ObservedOutcome::Human, None),
                    observation("b", second, None),
                ],
            )
        })
        .collect();
    let text = warnings(&records);
    for part in [
        "different times",
        "50.0 % of the records (50) are not in the comparison of a and b",
        "the rest does not represent the visitors",
        "reported no scores",
        "undefined",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(Statistics::of(&records).pairs[0].kappa, Kappa::Undefined);
}

#[test]
fn tokens_that_prove_nothing_move_no_share_and_no_table() {
    let before = Statistics::of(&classic());
    let mut records = classic();
    for reason in [
        "expired",
        "replayed",
        "expired-or-replayed",
        "malformed",
        "too-old",
    ] {
        for _ in 0..20 {
            let both = ["turnstile", "hcaptcha"].map(|name| observation(name, no(reason), None));
            records.push(record(7, both.to_vec()));
        }
    }
    let after = Statistics::of(&records);
    for (before, after) in before.providers.iter().zip(&after.providers) {
        assert_eq!(before.pass_rate, after.pass_rate);
        assert_eq!(after.unusable_total(), 100);
        assert_eq!(after.unusable["malformed"], 20);
    }
    assert_eq!(before.pairs[0].table, after.pairs[0].table);
    assert_eq!(after.pairs[0].excluded, 100);
}

#[test]
fn a_provider_that_is_down_is_not_fast() {
    let failed =
        |reason: &str| ObservedOutcome::Failed("unavailable".to_owned(), reason.to_owned());
    let at = |outcome: ObservedOutcome, ms: u64| {
        let mut seen = observation("a", outcome, None);
        seen.latency = Some(Duration::from_millis(ms));
        record(0, vec![seen])
    };
    let mut records: Vec<_> = (0..100).map(|_| at(ObservedOutcome::Human, 80)).collect();
    records.extend((0..900).map(|_| at(failed("circuit-open"), 0)));
    records.extend((0..10).map(|_| at(failed("timeout"), 2_000)));
    let provider = &Statistics::of(&records).providers[0];
    assert_eq!(provider.latency.unwrap().p50, 80.0);
    assert_eq!(provider.latency.unwrap().count, 100);
    assert_eq!(provider.failure_latency.unwrap().p50, 2_000.0);
    assert_eq!((provider.circuit_open, provider.failures()), (900, 910));
}

#[test]
fn a_day_of_outage_and_days_of_drift_are_said() {
    let day = |day: u64, passed: u64, of: u64, failed: u64| {
        (0..of).map(move |nth| {
            let outcome = match nth {
                nth if nth < failed => {
                    ObservedOutcome::Failed("unavailable".to_owned(), "timeout".to_owned())
                }
                nth if nth < failed + passed => ObservedOutcome::Human,
                _ => no("score-too-low"),
            };
            record(
                day * 1_440 + nth % 1_440,
                vec![observation("a", outcome, None)],
            )
        })
    };
    let steady = || (0..6).flat_map(|nth| day(nth, 950, 1_000, 0));
    let kinds = |records: Vec<Record>| -> Vec<String> {
        let warnings = Statistics::of(&records).warnings;
        let json = |warning: &Warning| serde_json::to_value(warning).unwrap();
        let kind = |warning: &Warning| json(warning)["warning"].as_str().unwrap().to_owned();
        warnings.iter().map(kind).collect()
    };
    let has = |kinds: &[String], kind: &str| kinds.iter().any(|other| other == kind);
    let quiet = kinds(steady().collect());
    assert!(!has(&quiet, "outage") && !has(&quiet, "drift"), "{quiet:?}");
    let outage = kinds(steady().chain(day(6, 500, 1_000, 450)).collect());
    assert!(has(&outage, "outage"), "{outage:?}");
    let drift = kinds(steady().chain(day(6, 850, 1_000, 0)).collect());
    assert!(has(&drift, "drift") && !has(&drift, "outage"), "{drift:?}");
    let statistics = Statistics::of(&steady().collect::<Vec<_>>());
    assert_eq!(statistics.days.len(), 6);
    assert_eq!(statistics.days[1].day, "1970-01-02");
    assert_eq!(statistics.days[1].providers[0].human, 950);
}

#[test]
fn what_is_wrong_with_the_files_is_a_warning_and_in_the_json() {
    let good = classic()[0].to_json();
    let later =
        r#"{"at":"2999-11-24T18:00:00Z","observations":[{"provider":"a","outcome":"human"}]}"#;
    let lost = r#"{"at":"2026-11-24T18:00:00Z","lost":{"in-flight":840}}"#;
    let begun = r#"{"begun":"42"}"#;
    let text = format!("{good}\nnonsense\n{later}\n{good}\n{lost}\n{begun}\n");
    let (mut tally, mut watch) = (Tally::new(), InputWatch::new(SystemTime::now()));
    watch.begin("a.jsonl");
    let mut reader = RecordReader::new(text.as_bytes());
    while let Some((number, line)) = reader.read().unwrap() {
        watch.see(number, &line);
        if let Ok(line) = line {
            tally.add_line(&line);
        }
    }
    watch.repeated("copy.jsonl");
    let statistics = tally.statistics_of(watch.finish());
    let text: String = statistics
        .warnings
        .iter()
        .map(|w| format!("{w}\n"))
        .collect();
    for part in [
        "1 lines could not be read and are left out: a.jsonl:2",
        "841 records are lost, 99.6 % of all",
        "a clock went back 1 times",
        "1 records are dated in the future",
        "another file holds the same records: copy.jsonl",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = serde_json::to_value(&statistics).unwrap();
    assert_eq!(json["input"]["unreadable"], 1);
    assert_eq!(json["input"]["lost"]["in-flight"], 840);
    assert_eq!(json["input"]["lost"]["interrupted"], 1);
    assert_eq!(json["input"]["repeated_files"][0], "copy.jsonl");
}

#[test]
fn one_provider_that_never_judges_is_no_pair() {
    let silent = record(
        0,
        vec![
            observation("a", ObservedOutcome::Human, None),
            observation("b", ObservedOutcome::NoToken, None),
        ],
    );
    let statistics = Statistics::of(&[silent]);
    assert!(statistics.warnings.contains(&Warning::NoVerdicts {
        provider: "b".to_owned()
    }));
    assert_eq!(statistics.pairs[0].agreed, None);
    assert!(!serde_json::to_string(&statistics).unwrap().contains("NaN"));
}

#[test]
fn a_file_of_something_else_does_not_fill_the_memory() {
    let records: Vec<_> = (0..5_000)
        .map(|n| {
            record(
                0,
                vec![observation(&format!("p{n}"), no(&format!("r{n}")), None)],
            )
        })
        .collect();
    let statistics = Statistics::of(&records);
    assert_eq!(statistics.providers.len(), 32);
    assert!(statistics.warnings.contains(&Warning::TooManyProviders {
        observations: 4_968
    }));
}

fn outcomes() -> impl Strategy<Value = ObservedOutcome> {
    prop_oneof![
        Just(ObservedOutcome::Human),
        Just(no("expired")),
        Just(no("score-too-low")),
        Just(ObservedOutcome::NoToken),
        Just(ObservedOutcome::Failed(
            "unavailable".to_owned(),
            "timeout".to_owned()
        )),
    ]
}

proptest! {
    // Each case draws six posterior distributions of kappa.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_record_is_counted_once_in_any_order(
        rows in proptest::collection::vec((outcomes(), outcomes(), outcomes()), 1..80),
    ) {
        let records: Vec<_> = rows
            .iter()
            .map(|(a, b, c)| record(0, vec![
                observation("a", a.clone(), None),
                observation("b", b.clone(), None),
                observation("c", c.clone(), None),
            ]))
            .collect();
        let statistics = Statistics::of(&records);
        for provider in &statistics.providers {
            prop_assert_eq!(provider.calls() + provider.no_token, statistics.records);
        }
        for pair in &statistics.pairs {
            prop_assert_eq!(pair.table.pairs() + pair.excluded, statistics.records);
        }
        let backwards: Vec<_> = records
            .iter()
            .map(|r| record(0, r.comparison.observations.iter().rev().cloned().collect()))
            .collect();
        let other = Statistics::of(&backwards);
        for pair in &statistics.pairs {
            let same = other
                .pairs
                .iter()
                .find(|p| p.first == pair.second && p.second == pair.first)
                .unwrap();
            prop_assert_eq!(same.table.exchanged(), pair.table);
        }
    }
}
