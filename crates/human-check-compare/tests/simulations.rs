//! The claims about the statistics, each by simulation with a known truth and a fixed seed.
//!
//! By default the numbers of runs are small, and the limits allow for that. In full:
//!
//! ```sh
//! HUMAN_CHECK_RUNS=2000 cargo test --release -p human-check-compare --features statistics \
//!   --test simulations -- --nocapture
//! ```

#![cfg(feature = "statistics")]
#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]
#![allow(clippy::cast_precision_loss, reason = "small numbers")]
#![allow(
    clippy::print_stdout,
    reason = "the figures are what a full run is for"
)]

use std::fmt::Write;

use fastrand::Rng;
use human_check_compare::estimate::*;
use human_check_compare::{
    Conclusion, ConfidenceInterval, ExperimentStatistics, ExperimentTally, Guardrail, Input, Line,
    RecordReader,
};

/// Returns how many runs a claim has.
fn runs(usual: usize) -> usize {
    let runs = std::env::var("HUMAN_CHECK_RUNS").ok();
    runs.map_or(usual, |runs| {
        runs.parse().expect("HUMAN_CHECK_RUNS is a number")
    })
}

/// The runs in which something happened.
struct Rate {
    hits: usize,
    of: usize,
}

impl Rate {
    fn of(runs: usize, mut happens: impl FnMut(usize) -> bool) -> Self {
        let hits = (0..runs).filter(|run| happens(*run)).count();
        Self { hits, of: runs }
    }

    fn share(&self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    /// Four standard errors of a share near `limit`, which is what chance explains in so many runs.
    fn chance(&self, limit: f64) -> f64 {
        4.0 * (limit * (1.0 - limit) / self.of as f64).sqrt()
    }

    fn at_least(&self, limit: f64, what: &str) {
        println!("{what}: {:.4}, at least {limit}", self.share());
        assert!(
            self.share() >= limit - self.chance(limit),
            "{what}: {}",
            self.share()
        );
    }

    fn at_most(&self, limit: f64, what: &str) {
        println!("{what}: {:.4}, at most {limit}", self.share());
        assert!(
            self.share() <= limit + self.chance(limit),
            "{what}: {}",
            self.share()
        );
    }
}

fn holds(interval: Option<ConfidenceInterval>, truth: f64) -> bool {
    // What is no interval says nothing wrong.
    interval.is_none_or(|i| i.low <= truth + 1e-12 && truth - 1e-12 <= i.high)
}

fn binomial(rng: &mut Rng, n: u64, share: f64) -> u64 {
    (0..n).filter(|_| rng.f64() < share).count() as u64
}

/// The probabilities of both, only the first, only the second, neither.
fn cells(first: f64, second: f64, kappa: f64) -> [f64; 4] {
    let by_chance = first * second + (1.0 - first) * (1.0 - second);
    let agreed = kappa * (1.0 - by_chance) + by_chance;
    let both = (agreed - 1.0 + first + second) / 2.0;
    [
        both,
        first - both,
        second - both,
        1.0 - first - second + both,
    ]
    .map(|cell| cell.max(0.0))
}

fn multinomial(rng: &mut Rng, n: u64, cells: [f64; 4]) -> [u64; 4] {
    let mut counts = [0; 4];
    for _ in 0..n {
        let mut at = rng.f64();
        let cell = cells.iter().position(|cell| {
            at -= cell;
            at < 0.0
        });
        counts[cell.unwrap_or(3)] += 1;
    }
    counts
}

#[test]
fn the_interval_of_a_share_holds_95_of_100_where_something_is_decided() {
    let mut rng = Rng::with_seed(1);
    for (share, n) in [
        (0.5, 30),
        (0.95, 30),
        (0.95, 1_000),
        (0.99, 300),
        (0.999, 1_000),
    ] {
        let rate = Rate::of(runs(2_000), |_| {
            let count = Count::new(binomial(&mut rng, n, share), n);
            holds(exact_share(count), share)
        });
        rate.at_least(0.95, &format!("share {share} of {n}"));
    }
}

#[test]
fn the_interval_of_a_paired_difference_holds_94_of_100() {
    let mut rng = Rng::with_seed(2);
    for (first, second, kappa, n) in [
        (0.5, 0.5, 0.0, 100),
        (0.95, 0.95, 0.5, 1_000),
        (0.95, 0.93, 0.5, 1_000),
        (0.99, 0.985, 0.5, 1_000),
    ] {
        let truth = cells(first, second, kappa);
        let rate = Rate::of(runs(1_500), |_| {
            let [_, b, c, _] = multinomial(&mut rng, n, truth);
            holds(paired_at_one_look(b, c, n), truth[1] - truth[2])
        });
        rate.at_least(0.94, &format!("paired {first} {second} {kappa} {n}"));
    }
}

#[test]
fn the_interval_of_two_arms_holds_94_of_100() {
    let mut rng = Rng::with_seed(3);
    for (first, second, n) in [(0.5, 0.5, 100), (0.95, 0.93, 1_000), (0.99, 0.985, 1_000)] {
        let rate = Rate::of(runs(1_500), |_| {
            let counts = [first, second].map(|share| Count::new(binomial(&mut rng, n, share), n));
            holds(arms_at_one_look(counts[0], counts[1]), first - second)
        });
        rate.at_least(0.94, &format!("arms {first} {second} {n}"));
    }
}

#[test]
fn looking_300_times_is_wrong_in_at_most_5_of_100() {
    let mut rng = Rng::with_seed(4);
    for (first, second, per_look) in [(0.95, 0.95, 25), (0.5, 0.5, 25), (0.99, 0.985, 25)] {
        let rate = Rate::of(runs(400), |_| {
            let (mut one, mut two) = (Count::default(), Count::default());
            (0..300).any(|_| {
                let more = |rng: &mut Rng, count: Count, share| {
                    Count::new(
                        count.count + binomial(rng, per_look, share),
                        count.of + per_look,
                    )
                };
                (one, two) = (more(&mut rng, one, first), more(&mut rng, two, second));
                !holds(arms_at_any_time(one, two, 15_000), first - second)
            })
        });
        rate.at_most(0.05, &format!("two arms {first} {second}, 300 looks"));
    }
    for (first, second, kappa) in [(0.95, 0.95, 0.5), (0.95, 0.94, 0.8)] {
        let truth = cells(first, second, kappa);
        let (mut paired, mut exact) = (0, 0);
        let of = runs(400);
        for _ in 0..of {
            let (mut b, mut c, mut n) = (0, 0, 0);
            let (mut is_wrong, mut is_sure) = (false, false);
            for _ in 0..300 {
                let more = multinomial(&mut rng, 50, truth);
                (b, c, n) = (b + more[1], c + more[2], n + 50);
                is_wrong |= !holds(paired_at_any_time(b, c, n, 15_000), truth[1] - truth[2]);
                is_sure |= paired_log_evidence(b, c) > 20_f64.ln();
            }
            paired += usize::from(is_wrong);
            exact += usize::from(is_sure && first == second);
        }
        let rate = |hits| Rate { hits, of };
        rate(paired).at_most(0.05, &format!("paired {first} {second} {kappa}, 300 looks"));
        rate(exact).at_most(
            0.05,
            &format!("exact evidence {first} {second} {kappa}, 300 looks"),
        );
    }
    let rate = Rate::of(runs(400), |_| {
        let mut count = Count::default();
        (0..300).any(|_| {
            count = Count::new(count.count + binomial(&mut rng, 50, 0.95), count.of + 50);
            !holds(share_at_any_time(count), 0.95)
        })
    });
    rate.at_most(0.05, "a share of 0.95, 300 looks");
}

#[test]
fn a_split_alarm_is_false_in_1_of_1000_and_finds_a_loss_of_5_in_100() {
    let mut rng = Rng::with_seed(5);
    let mut alarms = |lost: f64, runs: usize| {
        let share = 0.5 * (1.0 - lost) / (1.0 - 0.5 * lost);
        Rate::of(runs, |_| {
            let mut first = 0;
            (1..=200).any(|look| {
                first += binomial(&mut rng, 200, share);
                let total = look * 200;
                split_log_evidence(&[first, total - first], &[0.5, 0.5]) > SPLIT_ALARM
            })
        })
    };
    alarms(0.0, runs(300)).at_most(0.001, "false split alarm, 200 looks to 40,000 visitors");
    alarms(0.05, runs(150)).at_least(0.8, "split alarm at a loss of 5 %, 40,000 visitors");
}

#[test]
fn kappa_holds_93_of_100() {
    let mut rng = Rng::with_seed(6);
    for (share, kappa, n) in [
        (0.95, 0.5, 100),
        (0.95, 0.0, 1_000),
        (0.99, 0.5, 1_000),
        (0.999, 0.0, 1_000),
    ] {
        let truth = cells(share, share, kappa);
        let mut known = std::collections::HashMap::new();
        let rate = Rate::of(runs(150), |_| {
            let table = multinomial(&mut rng, n, truth);
            holds(
                *known.entry(table).or_insert_with(|| kappa_interval(table)),
                kappa,
            )
        });
        rate.at_least(0.93, &format!("kappa {kappa} at {share}, {n} pairs"));
    }
}

#[test]
fn visitors_who_come_often_do_not_make_a_share_surer_than_it_is() {
    let mut rng = Rng::with_seed(7);
    // Half of the visitors pass always or never, and come 5 times on average.
    let rate = Rate::of(runs(400), |_| {
        let mut buckets = vec![Count::default(); 256];
        for _ in 0..600 {
            let always = rng.bool().then(|| rng.f64() < 0.95);
            let bucket = rng.usize(..256);
            let mut visits = 1;
            while rng.f64() < 0.8 {
                visits += 1;
            }
            for _ in 0..visits {
                let passed = always.unwrap_or_else(|| rng.f64() < 0.95);
                let count = buckets[bucket];
                buckets[bucket] = Count::new(count.count + u64::from(passed), count.of + 1);
            }
        }
        holds(clustered_share(&buckets).map(|share| share.interval), 0.95)
    });
    rate.at_least(0.92, "share of visits in 256 buckets");
}

#[test]
fn the_interval_of_a_latency_quantile_holds() {
    let mut rng = Rng::with_seed(8);
    for (n, quantile) in [(30, 0.5), (1_000, 0.95)] {
        let mut once = 0;
        let of = runs(1_500);
        let always = Rate::of(of, |_| {
            // The ranks hold for any distribution, so the uniform one does.
            let mut values: Vec<f64> = (0..n).map(|_| rng.f64()).collect();
            values.sort_unstable_by(f64::total_cmp);
            let value =
                |rank: Option<u64>| rank.map(|rank| values[usize::try_from(rank).unwrap() - 1]);
            let holds = |(low, high): (Option<u64>, Option<u64>)| {
                value(low).is_none_or(|low| low <= quantile)
                    && value(high).is_none_or(|high| quantile <= high)
            };
            once += usize::from(holds(quantile_at_one_look(n, quantile)));
            holds(quantile_at_any_time(n, quantile))
        });
        always.at_least(0.95, &format!("quantile {quantile} of {n}, any time"));
        Rate { hits: once, of }.at_least(0.95, &format!("quantile {quantile} of {n}, one look"));
    }
}

#[test]
fn the_planned_number_of_visitors_finds_the_planned_difference() {
    let mut rng = Rng::with_seed(9);
    for (from, to) in [(0.93, 0.90), (0.5, 0.46)] {
        let found = |rng: &mut Rng, total: u64, tuned: bool| {
            let n = total / 2;
            let counts = [to, from].map(|share| Count::new(binomial(rng, n, share), n));
            let interval = match tuned {
                true => arms_at_any_time(counts[0], counts[1], total),
                false => arms_at_one_look(counts[0], counts[1]),
            };
            !holds(interval, 0.0)
        };
        let sizes = [
            total_size(to, from, 0.5, 0.8),
            total_size_at_any_time(to, from, 0.5, 0.8),
        ];
        for (nth, size) in sizes.into_iter().enumerate() {
            let rate = Rate::of(runs(600), |_| found(&mut rng, size.unwrap(), nth == 1));
            let what = format!("power {from} to {to}, {}", ["one look", "any time"][nth]);
            rate.at_least(0.78, &what);
            rate.at_most(0.88, &what);
        }
    }
}

#[test]
fn a_guardrail_stops_a_bad_arm_by_day_3_and_a_good_one_never() {
    let mut rng = Rng::with_seed(10);
    let rule = Guardrail::new(0.0);
    // The hour of the stop, of 28 days with 250 visitors a day and arm.
    let mut stop = |difference: f64| {
        let (mut current, mut arm) = (Count::default(), Count::default());
        (1..=24 * 28).find(|_| {
            let more = |rng: &mut Rng, count: Count, share| {
                Count::new(count.count + binomial(rng, 10, share), count.of + 10)
            };
            current = more(&mut rng, current, 0.93);
            arm = more(&mut rng, arm, 0.93 + difference);
            rule.broken_by(&[Stratum::new(arm, current)]).is_some()
        })
    };
    Rate::of(runs(400), |_| stop(0.0).is_some()).at_most(0.02, "false stop in 28 days");
    let mut hours: Vec<_> = (0..runs(150))
        .map(|_| stop(-0.05).unwrap_or(usize::MAX))
        .collect();
    hours.sort_unstable();
    let median = hours[hours.len() / 2];
    println!("median stop at -5 points: {median} hours");
    assert!(median <= 72, "{median} hours");
}

/// The lines of an experiment of two arms, whose truth is known.
struct Site {
    rng: Rng,
    completion: [f64; 2],
    per_day: u64,
}

impl Site {
    fn lines(&mut self, days: u64) -> String {
        let mut text = concat!(
            r#"{"version":2,"at":"2026-11-02T00:00:00Z","writer":"a","file":1,"experiment":{"name":"e","#,
            r#""arms":[{"name":"old","weights":[0.5]},{"name":"new","weights":[0.5]}],"planned":10000}}"#,
            "\n"
        )
        .to_owned();
        for day in 0..days {
            for _ in 0..self.per_day {
                let arm = usize::from(self.rng.bool());
                let (name, receipt) = (["old", "new"][arm], self.rng.u128(..));
                let at = jiff::Timestamp::from_second(
                    1_793_577_600 + i64::try_from(day).unwrap() * 86_400,
                );
                let at = at.unwrap();
                writeln!(text, r#"{{"at":"{at}","event":"shown","receipt":"{receipt:032x}","route":"signup","arm":"{name}","first":true,"provider":"{name}"}}"#).unwrap();
                if self.rng.f64() < self.completion[arm] {
                    writeln!(
                        text,
                        r#"{{"at":"{at}","event":"completed","receipt":"{receipt:032x}"}}"#
                    )
                    .unwrap();
                }
            }
        }
        text
    }

    fn statistics(&mut self, days: u64) -> ExperimentStatistics {
        let text = self.lines(days);
        let (mut tally, mut reader) = (ExperimentTally::new(), RecordReader::new(text.as_bytes()));
        while let Some((_, line)) = reader.read().unwrap() {
            let line: Line = line.unwrap();
            tally.add_line(&line);
        }
        tally.statistics_of(Input::default())
    }
}

#[test]
fn records_without_a_difference_name_no_winner_and_with_one_the_right_one() {
    let mut site = Site {
        rng: Rng::with_seed(11),
        completion: [0.93, 0.93],
        per_day: 250,
    };
    // A winner on any of 28 days counts, because an operator may look each day.
    let of = runs(30);
    let ever = |statistics: &ExperimentStatistics| {
        let days = &statistics.comparisons[0].by_day;
        days.iter().any(|day| !holds(day.any_time, 0.0))
    };
    Rate::of(of, |_| ever(&site.statistics(28))).at_most(0.05, "a winner without a difference");
    site.completion = [0.93, 0.90];
    let rate = Rate::of(of, |_| {
        let conclusion = site.statistics(40).comparisons[0].conclusion.clone();
        matches!(conclusion, Conclusion::Worse { .. })
    });
    rate.at_least(
        0.8,
        "the arm that is 3 points worse is named, 10,000 visitors",
    );
}

#[test]
fn a_ramp_and_several_arms_are_wrong_no_more_often() {
    let mut rng = Rng::with_seed(12);
    // Three steps of a ramp, looked at ten times each: few visitors of one arm say little.
    for share in [0.93, 0.7] {
        let rate = Rate::of(runs(150), |_| {
            let mut steps = [Stratum::default(); 3];
            let ramp = [(0.01, 2_000), (0.1, 2_000), (0.5, 20_000)];
            ramp.iter().enumerate().any(|(step, (weight, per_look))| {
                (0..10).any(|_| {
                    let arm = binomial(&mut rng, *per_look, *weight);
                    let more = |rng: &mut Rng, count: Count, n| {
                        Count::new(count.count + binomial(rng, n, share), count.of + n)
                    };
                    steps[step] = Stratum::new(
                        more(&mut rng, steps[step].first, arm),
                        more(&mut rng, steps[step].second, per_look - arm),
                    );
                    !holds(strata_at_any_time(&steps, 20_000, 1), 0.0)
                })
            })
        });
        rate.at_most(0.05, &format!("a ramp at {share}, 30 looks"));
    }
    // Nine arms: any of eight differences counts.
    let (mut wrong, mut stopped) = (0, 0);
    let of = runs(150);
    let rule = Guardrail::new(0.0).with_comparisons(8);
    for _ in 0..of {
        let mut arms = [Count::default(); 9];
        let (mut is_wrong, mut is_stopped) = (false, false);
        for _ in 0..50 {
            for arm in &mut arms {
                *arm = Count::new(arm.count + binomial(&mut rng, 40, 0.93), arm.of + 40);
            }
            for arm in &arms[1..] {
                let strata = [Stratum::new(*arm, arms[0])];
                is_wrong |= !holds(strata_at_any_time(&strata, 4_000, 8), 0.0);
                is_stopped |= rule.broken_by(&strata).is_some();
            }
        }
        wrong += usize::from(is_wrong);
        stopped += usize::from(is_stopped);
    }
    let rate = |hits| Rate { hits, of };
    rate(wrong).at_most(0.05, "nine arms, any winner in 50 looks");
    rate(stopped).at_most(0.02, "nine arms, any stop in 50 looks");
}
