//! Compares each formula with values that were computed by another program, with NumPy and SciPy.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use serde_json::Value;

use super::kappa::posterior;
use super::width::{factor, rho2};
use super::*;
use crate::ConfidenceInterval;

/// The names of the other program.
const GOLDEN: &str = include_str!("golden.json");

fn number(value: &Value, at: usize) -> f64 {
    value[at].as_f64().unwrap()
}

fn whole(value: &Value, at: usize) -> u64 {
    value[at].as_u64().unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap();
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn ends(interval: Option<ConfidenceInterval>) -> Vec<f64> {
    let interval = interval.unwrap();
    vec![interval.low, interval.high]
}

fn count(args: &Value, at: usize) -> Count {
    Count::new(whole(args, at), whole(args, at + 1))
}

fn ranks((low, high): (Option<u64>, Option<u64>)) -> Vec<f64> {
    let rank = |rank: Option<u64>| rank.map_or(f64::NAN, crate::interval::float);
    vec![rank(low), rank(high)]
}

#[allow(clippy::cast_precision_loss)]
fn size(visitors: Option<u64>) -> Vec<f64> {
    vec![visitors.unwrap() as f64]
}

/// Returns what this crate computes for a formula of the other program.
fn computed(name: &str, args: &Value) -> Vec<f64> {
    let table = || [0, 1, 2, 3].map(|cell| whole(args, cell));
    match name {
        "wilson" => ends(wilson_share(count(args, 0))),
        "clopper_pearson" => ends(exact_share(count(args, 0))),
        "share_cs" => ends(share_at_any_time(count(args, 0))),
        "tango" => ends(paired_at_one_look(
            whole(args, 0),
            whole(args, 1),
            whole(args, 2),
        )),
        "mcnemar_midp" => vec![mcnemar_mid_p(whole(args, 0), whole(args, 1))],
        "paired_e" => vec![paired_log_evidence(whole(args, 0), whole(args, 1))],
        "newcombe_independent" => ends(arms_at_one_look(count(args, 0), count(args, 2))),
        "kappa_posterior 1/4" => ends(posterior(table(), 0.25)),
        "kappa_interval" => ends(kappa_interval(table())),
        "quantile_interval (of 1..n)" => {
            ranks(quantile_at_one_look(whole(args, 0), number(args, 1)))
        }
        "quantile_cs (of 1..n)" => ranks(quantile_at_any_time(whole(args, 0), number(args, 1))),
        "clustered_share" => {
            let (passed, visits) = (args[0].as_array().unwrap(), args[1].as_array().unwrap());
            let clusters = passed.iter().zip(visits);
            let clusters: Vec<_> = clusters
                .map(|(y, m)| Count::new(y.as_u64().unwrap(), m.as_u64().unwrap()))
                .collect();
            let share = clustered_share(&clusters).unwrap();
            let (low, high) = (share.interval.low, share.interval.high);
            vec![share.share, low, high, share.effective_size]
        }
        "clustered_difference" => {
            let (balances, visits) = (args[0].as_array().unwrap(), args[1].as_array().unwrap());
            let clusters = balances.iter().zip(visits);
            let clusters: Vec<_> = clusters
                .map(|(d, m)| (d.as_i64().unwrap(), m.as_u64().unwrap()))
                .collect();
            let (difference, interval) = clustered_difference(&clusters).unwrap();
            vec![difference, interval.low, interval.high]
        }
        "rho2" => vec![rho2(whole(args, 0))],
        "cs_factor at t_opt" => {
            let units = whole(args, 0);
            assert_eq!(
                width_factor(units, units),
                factor(number(args, 0), rho2(units), ALPHA)
            );
            vec![width_factor(units, units)]
        }
        "paired_cs" => ends(paired_at_any_time(
            whole(args, 0),
            whole(args, 1),
            whole(args, 2),
            whole(args, 3),
        )),
        "arms_cs" => ends(arms_at_any_time(
            count(args, 0),
            count(args, 2),
            whole(args, 4),
        )),
        "srm_log_e" => {
            let counts: Vec<_> = args[0]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n.as_u64().unwrap())
                .collect();
            vec![split_log_evidence(&counts, &list(&args[1]))]
        }
        "pairs_needed" => size(paired_size(number(args, 0), number(args, 1), 0.8)),
        "pairs_needed_any_time" => size(paired_size_at_any_time(
            number(args, 0),
            number(args, 1),
            0.8,
        )),
        "arm_needed" => size(arm_size(number(args, 0), number(args, 1), 0.8)),
        "paired_mde" => {
            vec![smallest_paired_difference(whole(args, 0), number(args, 1), 0.8).unwrap()]
        }
        other => panic!("{other} is not compared"),
    }
}

#[test]
fn every_formula_agrees_with_another_program() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut compared = 0;
    for (name, examples) in golden.as_object().unwrap() {
        for example in examples.as_array().unwrap() {
            let (args, value) = (&example["args"], &example["value"]);
            let expected = match value.as_array() {
                Some(values) => values
                    .iter()
                    .map(|v| v.as_f64().unwrap_or(f64::NAN))
                    .collect(),
                None => vec![value.as_f64().unwrap()],
            };
            let got = computed(name, args);
            assert_eq!(got.len(), expected.len(), "{name} {args}");
            for (got, expected) in got.iter().zip(&expected) {
                let both_missing = got.is_nan() && expected.is_nan();
                let near = (got - expected).abs() <= 1e-9 * expected.abs().max(1.0);
                assert!(
                    near || both_missing,
                    "{name} {args}: {got} instead of {expected}"
                );
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 92);
}
