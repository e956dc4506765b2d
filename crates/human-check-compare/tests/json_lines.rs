//! The file of comparisons, as a running service uses it.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_compare::{JsonLinesSink, Record, RecordReader, Retention};
use human_check_core::{
    Comparison, ComparisonSink, HumanCheck, HumanCheckExt, Observation, ObservedOutcome,
};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("human-check-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn comparison(reason: &str) -> Comparison {
    let observation = |provider: &str, outcome| Observation {
        provider: provider.to_owned(),
        outcome,
        score: Some(0.5),
        latency: Some(Duration::from_millis(7)),
    };
    Comparison {
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000),
        observations: vec![
            observation("turnstile", ObservedOutcome::Human),
            observation("hcaptcha", ObservedOutcome::NotHuman(reason.to_owned())),
        ],
    }
}

/// The records of a file, and how many of its lines are not records.
fn read(path: &Path) -> (Vec<Record>, usize) {
    let text = std::fs::read(path).unwrap();
    let mut lines = RecordReader::new(&*text);
    let (mut records, mut bad) = (Vec::new(), 0);
    while let Some((_, line)) = lines.read().unwrap() {
        match line {
            Ok(record) => records.push(record),
            Err(_) => bad += 1,
        }
    }
    (records, bad)
}

#[test]
fn what_is_recorded_is_there_after_closing_and_appended_to() {
    let folder = Folder::new("append");
    let path = folder.file("comparisons.jsonl");
    for _ in 0..2 {
        let sink = JsonLinesSink::open(&path).unwrap();
        for _ in 0..100 {
            sink.record(comparison("expired"));
        }
        sink.flush();
        assert_eq!((sink.written(), sink.dropped(), sink.lost()), (100, 0, 0));
        sink.close();
    }
    let (records, bad) = read(&path);
    assert_eq!((records.len(), bad), (200, 0));
    assert_eq!(records[0], Record::from(comparison("expired")));
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("mode");
    let path = folder.file("comparisons.jsonl");
    JsonLinesSink::open(&path).unwrap().close();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_that_a_crash_tore_costs_itself_only() {
    let folder = Folder::new("torn");
    let path = folder.file("comparisons.jsonl");
    let whole = Record::from(comparison("expired")).to_json();
    std::fs::write(&path, format!("{whole}\n{}", &whole[..whole.len() / 2])).unwrap();
    let sink = JsonLinesSink::open(&path).unwrap();
    sink.record(comparison("replayed"));
    drop(sink);
    let (records, bad) = read(&path);
    assert_eq!((records.len(), bad), (2, 1));
}

#[test]
fn a_full_file_is_set_aside_and_the_oldest_goes() {
    let folder = Folder::new("rotate");
    let path = folder.file("comparisons.jsonl");
    let mut retention = Retention::default();
    retention.bytes = 1_000;
    retention.files = 2;
    let sink = JsonLinesSink::open_with(&path, retention).unwrap();
    for _ in 0..100 {
        sink.record(comparison("expired"));
        sink.flush();
    }
    drop(sink);
    let mut names: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "comparisons.jsonl",
            "comparisons.jsonl.1",
            "comparisons.jsonl.2"
        ]
    );
    for name in names {
        let file = folder.file(&name);
        assert!(std::fs::metadata(&file).unwrap().len() <= 1_000);
        let (records, bad) = read(&file);
        assert!(!records.is_empty() && bad == 0, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_vanishes_costs_its_records_and_comes_back() {
    let folder = Folder::new("vanished");
    let inner = folder.file("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("comparisons.jsonl");
    let sink = JsonLinesSink::open(&path).unwrap();
    sink.record(comparison("expired"));
    sink.flush();
    std::fs::remove_dir_all(&inner).unwrap();
    sink.record(comparison("expired"));
    sink.record(comparison("expired"));
    sink.flush();
    assert_eq!((sink.written(), sink.lost()), (1, 2));
    std::fs::create_dir(&inner).unwrap();
    sink.record(comparison("replayed"));
    sink.flush();
    assert_eq!((sink.written(), sink.lost()), (2, 2));
    assert_eq!(read(&path).0.len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_counted_and_does_not_panic() {
    // Every write to this device fails, as on a full disk.
    let sink = JsonLinesSink::open("/dev/full").unwrap();
    sink.record(comparison("expired"));
    sink.flush();
    assert_eq!((sink.written(), sink.lost()), (0, 1));
}

#[test]
fn recording_never_waits_and_what_has_no_room_is_counted() {
    let folder = Folder::new("full");
    let mut retention = Retention::default();
    retention.waiting = 1;
    let sink = Arc::new(JsonLinesSink::open_with(folder.file("c.jsonl"), retention).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sink = Arc::clone(&sink);
            std::thread::spawn(move || (0..2_000).for_each(|_| sink.record(comparison("x"))))
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    sink.flush();
    assert!(sink.dropped() > 0, "one place is too few for four threads");
    assert_eq!(
        sink.written() + sink.dropped(),
        8_000,
        "each is counted once"
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_a_wrong_configuration() {
    let error = JsonLinesSink::open("/no/such/folder/c.jsonl").unwrap_err();
    assert_eq!(error.field(), "comparisons");
    let mut retention = Retention::default();
    retention.waiting = 0;
    assert_eq!(
        JsonLinesSink::open_with("x", retention)
            .unwrap_err()
            .field(),
        "retention"
    );
}

#[tokio::test]
async fn a_shadow_of_live_traffic_is_recorded() {
    use human_check_core::{Provider, Submission};
    use human_check_testkit::Scripted;
    let folder = Folder::new("live");
    let path = folder.file("comparisons.jsonl");
    let sink = Arc::new(JsonLinesSink::open(&path).unwrap());
    let (first, second) = (Scripted::human(), Scripted::human());
    let provider = first.providers()[0].clone();
    // Two calls about one token would be a replay, so the second provider has another name.
    let second = Renamed(second, [Provider::named("second")]);
    let check = first.shadow(second, Arc::clone(&sink)).unwrap();
    let submission = Submission::new().with_token(&provider, "token");
    assert!(check.check(&submission).await.unwrap().is_human());
    tokio::time::timeout(Duration::from_secs(10), async {
        while sink.written() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let (records, _) = read(&path);
    let observations = &records[0].comparison.observations;
    assert_eq!(observations[0].outcome, ObservedOutcome::Human);
    assert_eq!(observations[1].outcome, ObservedOutcome::NoToken);
}

#[derive(Debug)]
struct Renamed<C>(C, [human_check_core::Provider; 1]);

#[human_check_core::adapter::async_trait]
impl<C: HumanCheck> HumanCheck for Renamed<C> {
    fn providers(&self) -> &[human_check_core::Provider] {
        &self.1
    }

    fn capabilities(&self) -> human_check_core::Capabilities {
        self.0.capabilities()
    }

    async fn check(
        &self,
        submission: &human_check_core::Submission,
    ) -> Result<human_check_core::Verdict, human_check_core::CheckError> {
        self.0.check(submission).await
    }
}
