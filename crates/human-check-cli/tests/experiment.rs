//! Experiments as an operator uses them: a plan, files of events, a report, a stop, labels.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_human-check"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Writes the events of an experiment with so many visitors in each arm, of whom so many completed.
fn events(path: &Path, writer: &str, of: u32, completed: [u32; 2]) {
    let mut text = format!(
        r#"{{"version":2,"at":"2026-11-02T00:00:00Z","writer":"{writer}","file":1,"experiment":{{"name":"signup","arms":[{{"name":"old","weights":[0.5]}},{{"name":"new","weights":[0.5]}}],"planned":20000}}}}"#
    ) + "\n";
    let mut receipt = 0_u32;
    for (arm, completed) in ["old", "new"].iter().zip(completed) {
        for nth in 0..of {
            receipt += 1;
            let at = format!("2026-11-{:02}T00:00:00Z", 2 + nth * 5 / of);
            writeln!(text, r#"{{"at":"{at}","event":"shown","receipt":"{receipt:032x}","route":"signup","arm":"{arm}","first":true,"provider":"{arm}"}}"#).unwrap();
            if nth % of < completed {
                writeln!(
                    text,
                    r#"{{"at":"{at}","event":"completed","receipt":"{receipt:032x}"}}"#
                )
                .unwrap();
            }
        }
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_plan_names_visitors_days_and_what_to_write_into_the_file() {
    let plan = [
        "plan",
        "--baseline",
        "0.93",
        "--margin",
        "0.01",
        "--per-day",
        "1000",
    ];
    let output = run(&plan);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let text = out(&output);
    assert!(
        text.contains("looking as often as you like") && text.contains("[experiment]: planned ="),
        "{text}"
    );
    let output = run(&[&plan[..], &["--json"]].concat());
    let json: Value = serde_json::from_str(&out(&output)).unwrap();
    let (any_time, one_look) = (&json["any_time"], &json["one_look"]);
    assert!(any_time["visitors"].as_u64() > one_look["visitors"].as_u64());
    assert_eq!(
        any_time["days"],
        any_time["visitors"].as_u64().unwrap().div_ceil(1_000)
    );
    for wrong in [
        [
            "plan",
            "--baseline",
            "93",
            "--margin",
            "0.01",
            "--per-day",
            "10",
        ],
        [
            "plan",
            "--baseline",
            "0.93",
            "--margin",
            "1",
            "--per-day",
            "10",
        ],
        [
            "plan",
            "--baseline",
            "0.93",
            "--margin",
            "0.01",
            "--per-day",
            "0",
        ],
    ] {
        let output = run(&wrong);
        assert_eq!(code(&output), 3, "{wrong:?}");
        assert!(err(&output).contains("; write"), "{}", err(&output));
    }
}

#[test]
fn events_become_one_finding_in_text_json_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(
        folder.path().join("a.jsonl").as_path(),
        "a",
        4_000,
        [3_600, 3_800],
    );
    std::fs::copy(path("a.jsonl"), path("copy.jsonl")).unwrap();
    let output = run(&["report", &path("a.jsonl"), "--html", &path("page.html")]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(
        out(&output).contains("new completes more than old"),
        "{}",
        out(&output)
    );
    let page = std::fs::read_to_string(path("page.html")).unwrap();
    assert!(
        page.contains("new completes more than old") && page.contains("What this does not say")
    );
    let twice = run(&["report", &path("a.jsonl"), &path("copy.jsonl"), "--json"]);
    assert_eq!(code(&twice), 3);
    let json: Value = serde_json::from_str(&out(&twice)).unwrap();
    assert_eq!(json["arms"][1]["shown"], 4_000, "a copy counts nothing");
    assert_eq!(json["input"]["repeated_files"][0], path("copy.jsonl"));
    assert_eq!(json["comparisons"][0]["conclusion"]["conclusion"], "better");
    let status = run(&["experiment", "status", &path("a.jsonl")]);
    assert_eq!(code(&status), 0);
    assert!(
        out(&status).contains("new: 4000 shown, 3800 completed (95.0 %)"),
        "{}",
        out(&status)
    );
}

#[test]
fn comparisons_and_events_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(folder.path().join("a.jsonl").as_path(), "a", 10, [9, 9]);
    let record =
        r#"{"at":"2026-11-24T18:00:00Z","observations":[{"provider":"a","outcome":"human"}]}"#;
    std::fs::write(path("c.jsonl"), record).unwrap();
    let output = run(&["report", &path("a.jsonl"), &path("c.jsonl")]);
    assert_eq!(code(&output), 3);
    assert!(
        err(&output).contains("give those of one kind"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_watch_stops_a_bad_arm_and_the_stop_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let file = folder.path().join("a.jsonl");
    let watch = || {
        run(&[
            "experiment",
            "watch",
            &path("a.jsonl"),
            "--state",
            &path("state.json"),
            "--once",
        ])
    };
    events(&file, "a", 750, [700, 695]);
    assert_eq!(
        (code(&watch()), folder.path().join("state.json").exists()),
        (0, false)
    );
    events(&file, "a", 750, [700, 640]);
    let stopped = watch();
    assert_eq!(code(&stopped), 1);
    assert!(
        out(&stopped).contains("new, it completes 8.0 points less"),
        "{}",
        out(&stopped)
    );
    let note: Value = serde_json::from_slice(&std::fs::read(path("state.json")).unwrap()).unwrap();
    assert_eq!(
        (&note["experiment"], &note["arm"]),
        (&"signup".into(), &"new".into())
    );
    // Better figures do not start it again.
    events(&file, "a", 750, [700, 700]);
    assert_eq!(code(&watch()), 1);
    let status = run(&[
        "experiment",
        "status",
        &path("a.jsonl"),
        "--state",
        &path("state.json"),
    ]);
    assert_eq!(code(&status), 1);
    assert!(out(&status).contains("stopped at"), "{}", out(&status));
    let report = |state: &str| run(&["report", &path("a.jsonl"), "--state", &path(state)]);
    let page = report("state.json");
    assert_eq!(code(&page), 0);
    assert!(out(&page).contains("stopped"), "{}", out(&page));
    // A wrong path must not look like an experiment that goes on.
    let wrong = report("no/such/state.json");
    assert_eq!((code(&wrong), out(&wrong)), (3, String::new()));
    let status = run(&[
        "experiment",
        "status",
        &path("a.jsonl"),
        "--state",
        &path("x"),
    ]);
    let errors = String::from_utf8_lossy(&status.stderr);
    assert!(errors.contains("no stop was written there"), "{errors}");
}

#[test]
fn labels_are_read_from_a_list_and_wrong_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(
        folder.path().join("a.jsonl").as_path(),
        "a",
        200,
        [150, 150],
    );
    let list = format!(
        "receipt,label,at\n{:032x},banned,2026-11-10T00:00:00Z\ncanary,banned,2026-11-10T00:00:00Z\n{:032x},banned\n{:032x},late,2026-12-24T00:00:00Z\n",
        1, 2, 3
    );
    std::fs::write(path("list.csv"), list).unwrap();
    let output = run(&[
        "label",
        &path("list.csv"),
        "--output",
        &path("labels.jsonl"),
    ]);
    assert_eq!(code(&output), 3);
    let problems = err(&output);
    assert!(
        problems.contains("list.csv:3: begins with no receipt"),
        "{problems}"
    );
    assert!(
        problems.contains("list.csv:4: has not three parts"),
        "{problems}"
    );
    assert!(
        problems.contains("2 labels are written") && !problems.contains("canary"),
        "{problems}"
    );
    let report = run(&["report", &path("a.jsonl"), &path("labels.jsonl"), "--json"]);
    assert_eq!(code(&report), 0, "{}", err(&report));
    let json: Value = serde_json::from_str(&out(&report)).unwrap();
    let labels = &json["comparisons"][0]["labels"];
    assert_eq!(
        (&labels[0]["label"], &labels[0]["against"]["count"]),
        (&"banned".into(), &1.into())
    );
    assert_eq!(labels[1]["against"]["count"], 0, "it came after its window");
}

#[test]
fn forgotten_receipts_lead_nowhere_and_change_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(
        folder.path().join("a.jsonl").as_path(),
        "a",
        300,
        [250, 240],
    );
    let report = || out(&run(&["report", &path("a.jsonl"), "--json"]));
    let before = report();
    let output = run(&["experiment", "forget", &path("a.jsonl")]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert_eq!(report(), before);
    let text = std::fs::read_to_string(path("a.jsonl")).unwrap();
    assert!(!text.contains(&format!("{:032x}", 1)));
}

#[test]
fn forgetting_changes_all_files_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(folder.path().join("a.jsonl").as_path(), "a", 20, [9, 9]);
    let before = std::fs::read_to_string(path("a.jsonl")).unwrap();
    std::fs::write(path("bad.jsonl"), format!("{{\"a\":1}}\n{before}")).unwrap();
    for other in ["no-such.jsonl", "bad.jsonl"] {
        let output = run(&["experiment", "forget", &path("a.jsonl"), &path(other)]);
        assert_eq!(code(&output), 3);
        assert!(
            err(&output).contains("no file is changed"),
            "{}",
            err(&output)
        );
        assert_eq!(std::fs::read_to_string(path("a.jsonl")).unwrap(), before);
        assert!(!folder.path().join("a.jsonl.new").exists());
    }
    // The files that stand beside, and a last line that a crash left unfinished, are no obstacle.
    std::fs::write(
        path("a.jsonl"),
        format!("{before}{{\"at\":\n{before}{{\"at\":"),
    )
    .unwrap();
    std::fs::write(path("a.jsonl.lock"), "").unwrap();
    std::fs::write(path("a.jsonl.1"), &before).unwrap();
    // A file that is named twice is one.
    let all = ["a.jsonl", "a.jsonl.lock", "a.jsonl.1", "a.jsonl"].map(path);
    let forget = || run(&["experiment", "forget", &all[0], &all[1], &all[2], &all[3]]);
    let output = forget();
    assert_eq!(code(&output), 0, "{}", err(&output));
    let after = all
        .each_ref()
        .map(|path| std::fs::read_to_string(path).unwrap());
    assert_eq!(after[0].lines().count(), 2 * before.lines().count());
    assert_eq!(after[0], after[2].repeat(2), "one new receipt for each");
    assert_ne!(after[2], before);
    // Files that a process writes stay, and those that it may rotate.
    let lock = std::fs::File::open(&all[1]).unwrap();
    lock.lock().unwrap();
    for path in [&all[0], &all[2]] {
        let output = run(&["experiment", "forget", path]);
        assert_eq!(code(&output), 3);
        assert!(
            err(&output).contains("a process writes it"),
            "{}",
            err(&output)
        );
    }
    assert_eq!(std::fs::read_to_string(&all[2]).unwrap(), after[2]);
}

#[test]
fn a_stop_beside_the_files_shows_without_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    events(
        folder.path().join("a.jsonl").as_path(),
        "a",
        750,
        [700, 640],
    );
    let files = [path("a.jsonl"), path("a.jsonl.state")];
    assert_eq!(
        code(&run(&[
            "experiment",
            "watch",
            &files[0],
            "--state",
            &files[1],
            "--once"
        ])),
        1
    );
    assert_eq!(code(&run(&["experiment", "status", &files[0]])), 1);
    let report = run(&["report", &files[0], &files[1]]);
    assert_eq!(
        code(&report),
        0,
        "the state file is no file of events: {}",
        err(&report)
    );
    assert!(
        out(&report).contains("The experiment has stopped at"),
        "{}",
        out(&report)
    );
}
