//! The statistics of records, and their warnings.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::time::{Duration, SystemTime};

use human_check_compare::{Kappa, Record, Statistics, Warning};
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
        (5, ObservedOutcome::Human, no("expired")),
        (10, no("invalid"), ObservedOutcome::Human),
        (15, no("invalid"), no("expired")),
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
    assert_eq!(turnstile.latency.unwrap().count, 51);
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
        "b judged 50 visitors and a 100",
        "reported no scores",
        "undefined",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(Statistics::of(&records).pairs[0].kappa, Kappa::Undefined);
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
