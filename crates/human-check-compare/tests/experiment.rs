//! The statistics of an experiment, and its report.

#![cfg(feature = "report")]
#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::time::{Duration, SystemTime};

use human_check_compare::report::{ExperimentReport, experiment_html, experiment_terminal};
use human_check_compare::{
    Conclusion, ExperimentStatistics, ExperimentTally, ExperimentWarning, Input, InputWatch, Line,
    RecordReader,
};

const HEADER: &str = r#"{"version":2,"at":"2026-11-02T00:00:00Z","writer":"a","file":1,"config":"c1","experiment":{"name":"signup","arms":[{"name":"old","weights":[0.5,0.5]},{"name":"new","weights":[0.5,0.5]}],"planned":20000,"margin":0.01}}"#;

/// The lines of an experiment.
struct Lines {
    text: String,
    receipts: u128,
}

impl Lines {
    fn new() -> Self {
        Self {
            text: format!("{HEADER}\n"),
            receipts: 0,
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a visitor of an arm, who did these things on a day of November.
    fn visitor(&mut self, arm: &str, day: u8, more: &str, events: &[&str]) -> String {
        self.receipts += 1;
        let receipt = format!("{:032x}", self.receipts);
        let at = format!("2026-11-{day:02}T12:00:00Z");
        self.push(&format!(
            r#"{{"at":"{at}","event":"shown","receipt":"{receipt}","route":"signup","arm":"{arm}","provider":"{arm}"{more}}}"#
        ));
        for event in events {
            self.event(&receipt, arm, &at, event);
        }
        receipt
    }

    fn event(&mut self, receipt: &str, arm: &str, at: &str, event: &str) {
        let more = match event {
            "loaded" | "solved" => r#","ms":800"#,
            "judged" => r#","provider":"new","outcome":"human","ms":40"#,
            _ => "",
        };
        let assignment = format!(r#""route":"signup","arm":"{arm}","first":true"#);
        self.push(&format!(
            r#"{{"at":"{at}","event":"{event}","receipt":"{receipt}",{assignment}{more}}}"#
        ));
    }

    /// Adds so many first visits of each arm over four days, of whom so many completed.
    fn arms(&mut self, of: u32, completed: [u32; 2]) {
        for (arm, completed) in ["old", "new"].iter().zip(completed) {
            for nth in 0..of {
                let all = ["loaded", "solved", "judged", "completed"];
                let events: &[&str] = if nth < completed { &all } else { &all[..2] };
                let day = 2 + u8::try_from(nth % 4).unwrap();
                self.visitor(arm, day, r#","first":true,"bucket":7"#, events);
            }
        }
    }

    fn statistics(&self) -> ExperimentStatistics {
        let mut watch =
            InputWatch::new(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000));
        let (mut tally, mut reader) = (
            ExperimentTally::new(),
            RecordReader::new(self.text.as_bytes()),
        );
        watch.begin("events.jsonl");
        while let Some((number, line)) = reader.read().unwrap() {
            watch.see(number, &line);
            if let Ok(line) = line {
                tally.add_line(&line);
            }
        }
        tally.statistics_of(watch.finish())
    }
}

#[test]
fn the_funnel_is_of_first_visits_and_the_finding_comes_first() {
    let mut lines = Lines::new();
    lines.arms(4_000, [3_600, 3_800]);
    for _ in 0..500 {
        lines.visitor("new", 3, r#","first":false,"bucket":9"#, &[]);
    }
    let statistics = lines.statistics();
    let [old, new] = &statistics.arms[..] else {
        panic!("two arms")
    };
    assert_eq!((old.shown, old.completed), (4_000, 3_600));
    assert_eq!(
        (new.shown, new.loaded, new.passed, new.completed),
        (4_000, 4_000, 3_800, 3_800)
    );
    assert_eq!((new.later_visits.of, new.later_visits.count), (500, 0));
    assert_eq!(new.solve_time_p50.unwrap().ms, 800.0);
    let Conclusion::Better {
        difference,
        interval,
    } = statistics.comparisons[0].conclusion
    else {
        panic!("{:?}", statistics.comparisons[0].conclusion)
    };
    assert!(
        (difference - 0.05).abs() < 1e-9 && interval.low > 0.02,
        "{interval:?}"
    );
    assert!(statistics.split.is_as_planned);
    assert_eq!(statistics.comparisons[0].by_day.len(), 4);
    let report = ExperimentReport {
        statistics,
        costs: Vec::new(),
        stopped: None,
    };
    let (page, text) = (experiment_html(&report), experiment_terminal(&report));
    for part in [
        "new completes more than old",
        "5.0 percentage points",
        "No labels tell",
        "40 % of the planned 20,000",
    ] {
        assert!(page.contains(part), "{part}");
        assert!(text.contains(part), "{part}: {text}");
    }
    let first = page.find("new completes more than old").unwrap();
    assert!(first < page.find("<table>").unwrap() && first < page.find("Read this first").unwrap());
    for outside in [
        "http://", "https://", "<script", "src=\"", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn equal_arms_are_not_decided_and_the_page_says_how_long_it_takes() {
    let mut lines = Lines::new();
    lines.arms(1_000, [900, 905]);
    let statistics = lines.statistics();
    let Conclusion::NotYet {
        visitors_to_come,
        days_to_come,
        ..
    } = statistics.comparisons[0].conclusion
    else {
        panic!("{:?}", statistics.comparisons[0].conclusion)
    };
    assert_eq!((visitors_to_come, days_to_come), (Some(18_000), Some(36)));
    let report = ExperimentReport {
        statistics,
        costs: Vec::new(),
        stopped: None,
    };
    let page = experiment_html(&report);
    assert!(page.contains("Not decided yet between new and old"));
    assert!(
        page.contains("18,000 visitors of the planned 20,000 are still to come: about 36 days")
    );
}

/// Whatever a client sends again, sends without a challenge of ours, or makes up.
#[test]
fn repeated_and_made_up_events_move_nothing() {
    let mut lines = Lines::new();
    lines.arms(500, [450, 440]);
    let before = lines.statistics();
    let receipt = format!("{:032x}", 1);
    let at = "2026-11-05T12:00:00Z";
    for event in ["completed", "loaded", "solved"] {
        for _ in 0..100 {
            lines.event(&receipt, "old", at, event);
        }
    }
    for nth in 0..1_000 {
        lines.event(&format!("ffff{nth:028x}"), "new", at, "completed");
    }
    for nth in 0..100 {
        let made_up = r#""outcome":"not-human","reason":"invalid""#;
        lines.push(&format!(
            r#"{{"at":"{at}","event":"judged","receipt":"{:032x}","provider":"new",{made_up}}}"#,
            nth + 1
        ));
    }
    let after = lines.statistics();
    for (before, after) in before.arms.iter().zip(&after.arms) {
        assert_eq!(
            (before.shown, before.completed),
            (after.shown, after.completed)
        );
        assert_eq!(before.completion, after.completion);
    }
    let completed = |s: &ExperimentStatistics| s.comparisons[0].steps[4].clone();
    assert_eq!(completed(&before), completed(&after));
    assert_eq!(after.repeated_events, 300);
    assert_eq!(after.unknown_receipts, 1_000);
}

#[test]
fn events_may_be_read_in_any_order_and_from_several_files() {
    let mut lines = Lines::new();
    lines.arms(300, [250, 260]);
    let forward = lines.statistics();
    let (header, rest) = lines.text.split_once('\n').unwrap();
    let mut all: Vec<_> = rest.lines().collect();
    all.reverse();
    let backward = Lines {
        text: format!("{header}\n{}\n", all.join("\n")),
        receipts: 0,
    };
    let backward = backward.statistics();
    assert_eq!(forward.arms, backward.arms);
    assert_eq!(forward.comparisons, backward.comparisons);
}

#[test]
fn an_arm_whose_visitors_are_missing_cannot_be_compared() {
    let mut lines = Lines::new();
    lines.arms(4_000, [3_600, 3_600]);
    for nth in 0..1_000 {
        let events: &[&str] = if nth < 900 { &["completed"] } else { &[] };
        lines.visitor("old", 3, r#","first":true"#, events);
    }
    let statistics = lines.statistics();
    assert!(!statistics.split.is_as_planned);
    assert_eq!(
        statistics.comparisons[0].conclusion,
        Conclusion::CannotCompare
    );
}

#[test]
fn what_a_reader_does_not_know_is_unreadable_and_no_completion() {
    let mut lines = Lines::new();
    lines.arms(200, [190, 190]);
    let receipt = lines.visitor("new", 3, r#","first":true,"why":"moon""#, &[]);
    lines.event(&receipt, "new", "2026-11-03T12:00:00Z", "unknown");
    let statistics = lines.statistics();
    assert_eq!(statistics.arms[1].shown, 200);
    assert_eq!(statistics.arms[1].completed, 190);
    assert!(
        statistics
            .warnings
            .iter()
            .any(|warning| matches!(warning, ExperimentWarning::Unreadable { lines: 2, .. }))
    );
}

#[test]
fn labels_count_once_inside_their_window_and_of_visitors_who_are_old_enough() {
    let mut lines = Lines::new();
    lines.arms(200, [150, 150]);
    // Day 2 for the first visitor, so the window of 14 days ends on day 16.
    let label = |lines: &mut Lines, receipt: u128, day: u8| {
        lines.push(&format!(
            r#"{{"at":"2026-11-{day:02}T00:00:00Z","event":"label","receipt":"{receipt:032x}","label":"chargeback"}}"#
        ));
    };
    label(&mut lines, 1, 16);
    label(&mut lines, 1, 16);
    label(&mut lines, 5, 30);
    label(&mut lines, 999_999, 10);
    // A visitor who did not complete.
    label(&mut lines, 199, 10);
    lines.visitor("old", 29, r#","first":true"#, &["completed"]);
    let statistics = lines.statistics();
    let labels = &statistics.comparisons[0].labels;
    assert_eq!(labels.len(), 1);
    assert_eq!((labels[0].against.count, labels[0].against.of), (1, 150));
    assert_eq!((labels[0].arm.count, labels[0].arm.of), (0, 150));
    assert!(!statistics.warnings.contains(&ExperimentWarning::NoLabels));
}

#[test]
fn segments_are_shown_from_100_visitors_on_and_without_a_test() {
    let mut lines = Lines::new();
    for arm in ["old", "new"] {
        for nth in 0..150 {
            let word = if nth < 120 { "mobile" } else { "desktop" };
            let more = format!(r#","first":true,"segment":"{word}""#);
            lines.visitor(arm, 2, &more, &["completed"]);
        }
    }
    let statistics = lines.statistics();
    let names: Vec<_> = statistics
        .segments
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["mobile"]);
    assert_eq!(statistics.segments[0].arms[1].completed.of, 120);
}

#[test]
fn without_cookies_all_visits_count_and_a_warning_says_so() {
    let mut lines = Lines::new();
    for arm in ["old", "new"] {
        for _ in 0..200 {
            lines.visitor(arm, 2, "", &["completed"]);
        }
    }
    let statistics = lines.statistics();
    assert_eq!(statistics.arms[0].shown, 200);
    let unknown = ExperimentWarning::UnknownVisits { visits: 400 };
    assert!(statistics.warnings.contains(&unknown));
    // Beside first visits that are known, the others are reported apart.
    lines.visitor("old", 2, r#","first":true"#, &[]);
    let statistics = lines.statistics();
    assert_eq!(
        (
            statistics.arms[0].shown,
            statistics.arms[0].unknown_visits.of
        ),
        (1, 200)
    );
}

#[test]
fn what_went_wrong_during_the_experiment_is_said() {
    let mut lines = Lines::new();
    lines.arms(200, [150, 150]);
    for nth in 0..30 {
        lines.visitor("new", 4, r#","first":true,"why":"fallback""#, &[]);
        lines.push(&format!(
            r#"{{"at":"2026-11-04T12:00:00Z","event":"judged","receipt":"{:032x}","route":"signup","arm":"new","provider":"new","outcome":"failed","kind":"unavailable","reason":"timeout"}}"#,
            nth + 1
        ));
    }
    lines.push(r#"{"at":"2026-11-04T12:00:00Z","lost":{"queue":40}}"#);
    lines.push("nonsense");
    let changed = HEADER.replace("\"c1\"", "\"c2\"").replace("11-02", "11-05");
    lines.push(&changed);
    let other = HEADER
        .replace("\"signup\"", "\"login\"")
        .replace("\"file\":1", "\"file\":2");
    lines.push(&other);
    lines.visitor("new", 5, r#","first":true"#, &["completed"]);
    let statistics = lines.statistics();
    let json = serde_json::to_value(&statistics).unwrap();
    let kinds: Vec<_> = json["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning["warning"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "unreadable",
            "lost",
            "odd-clock",
            "settings-changed",
            "other-experiments",
            "fallbacks",
            "outage",
            "no-labels"
        ]
    );
    assert_eq!(json["input"]["lost"]["queue"], 40);
    assert_eq!(statistics.comparisons[0].by_day[2].lost, 40);
    assert_eq!(
        statistics.arms[1].shown, 230,
        "the other experiment is left out"
    );
}

#[test]
fn a_ramp_is_compared_step_by_step() {
    let header = HEADER
        .replace("[0.5,0.5]},{", "[0.9,0.5]},{")
        .replace("[0.5,0.5]}]", "[0.1,0.5]}]");
    let mut lines = Lines {
        text: format!("{header}\n"),
        receipts: 0,
    };
    // In the first step nine in ten complete, and in the second every second one, whatever the arm is.
    for (arm, step, of) in [
        ("old", 0, 900),
        ("new", 0, 100),
        ("old", 1, 500),
        ("new", 1, 500),
    ] {
        for nth in 0..of {
            let completes = if step == 0 {
                nth * 10 < of * 9
            } else {
                nth * 2 < of
            };
            let events: &[&str] = if completes { &["completed"] } else { &[] };
            lines.visitor(
                arm,
                2 + step,
                &format!(r#","first":true,"step":{step}"#),
                events,
            );
        }
    }
    let statistics = lines.statistics();
    let completed = &statistics.comparisons[0].steps[4];
    assert!(completed.difference.unwrap().abs() < 1e-9, "{completed:?}");
    assert!(statistics.split.is_as_planned);
    let [old, new] = &statistics.arms[..] else {
        panic!("two arms")
    };
    let shares = [old, new].map(|arm| arm.completion.unwrap().share);
    assert!(
        shares[0] - shares[1] > 0.1,
        "added up, the old arm seems better"
    );
}

#[test]
fn visitors_of_weights_that_no_header_names_are_left_out() {
    // A request in flight may still have the step of a ramp that a reload has ended.
    let mut lines = Lines::new();
    lines.arms(200, [190, 190]);
    lines.visitor("new", 3, r#","first":true,"step":7"#, &[]);
    let statistics = lines.statistics();
    assert!(statistics.split.is_as_planned);
    assert_eq!(statistics.arms[1].shown, 200);
    let warning = ExperimentWarning::UnplannedVisits { visits: 1 };
    assert!(
        statistics.warnings.contains(&warning),
        "{:?}",
        statistics.warnings
    );
    // With many of them the others may be a choice.
    for _ in 0..9 {
        lines.visitor("new", 3, r#","first":true,"step":7"#, &[]);
    }
    assert!(!lines.statistics().split.is_as_planned);
}

#[test]
fn a_file_without_a_header_and_an_empty_one_are_no_panic() {
    let mut tally = ExperimentTally::new();
    tally.add_line(&Line::from_json(br#"{"at":"2026-11-02T00:00:00Z","event":"completed","receipt":"00000000000000000000000000000001"}"#).unwrap());
    let statistics = tally.statistics_of(Input::default());
    assert_eq!((statistics.arms.len(), statistics.unknown_receipts), (0, 1));
    let report = ExperimentReport {
        statistics,
        costs: Vec::new(),
        stopped: None,
    };
    assert!(experiment_html(&report).contains("Nothing to compare yet"));
}
