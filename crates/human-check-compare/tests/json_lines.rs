//! The file of comparisons, as a running service uses it.

#![allow(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use human_check_compare::{JsonLinesSink, Line, Record, RecordReader, Retention};
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
        route: None,
        id: None,
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
            Ok(Line::Comparison(record)) => records.push(record),
            Ok(_) => {}
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
    let sink = JsonLinesSink::options()
        .with_retention(retention)
        .open(&path)
        .unwrap();
    for _ in 0..100 {
        sink.record(comparison("expired"));
        sink.flush();
    }
    drop(sink);
    let mut names: Vec<_> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
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
    let folder = Folder::new("disk");
    let path = folder.file("comparisons.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let sink = JsonLinesSink::open(&path).unwrap();
    sink.record(comparison("expired"));
    sink.flush();
    assert_eq!((sink.written(), sink.lost()), (0, 1));
}

#[test]
fn recording_never_waits_and_what_has_no_room_is_counted() {
    let folder = Folder::new("full");
    let mut retention = Retention::default();
    retention.waiting = 1;
    let sink = Arc::new(
        JsonLinesSink::options()
            .with_retention(retention)
            .open(folder.file("c.jsonl"))
            .unwrap(),
    );
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
    assert_eq!(error.field(), "file");
    let mut retention = Retention::default();
    retention.waiting = 0;
    assert_eq!(
        JsonLinesSink::options()
            .with_retention(retention)
            .open("x")
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

/// The sum of the losses that a file states, by reason.
fn losses(path: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read(path).unwrap();
    let mut lines = RecordReader::new(&*text);
    let mut sums = BTreeMap::new();
    while let Some((_, line)) = lines.read().unwrap() {
        if let Ok(Line::Lost(lost)) = line {
            for (reason, count) in lost.by_reason {
                *sums.entry(reason).or_default() += count;
            }
        }
    }
    sums
}

#[test]
fn records_and_losses_are_all_that_was_sent_under_load() {
    let folder = Folder::new("load");
    let path = folder.file("comparisons.jsonl");
    let mut retention = Retention::default();
    retention.waiting = 4;
    let options = JsonLinesSink::options().with_retention(retention);
    let sink = Arc::new(options.open(&path).unwrap());
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let sink = Arc::clone(&sink);
            std::thread::spawn(move || {
                for _ in 0..2_000 {
                    sink.record(comparison("invalid"));
                }
                sink.lost("in-flight");
            })
        })
        .collect();
    senders
        .into_iter()
        .for_each(|sender| sender.join().unwrap());
    let dropped = sink.dropped();
    drop(sink);
    let ((records, bad), lost) = (read(&path), losses(&path));
    assert_eq!(bad, 0);
    assert_eq!(lost["in-flight"], 8);
    assert_eq!(lost.get("queue").copied().unwrap_or(0), dropped);
    let sum: u64 = lost.values().sum();
    assert_eq!(records.len() as u64 + sum, 16_008);
}

#[test]
fn two_writers_write_two_files() {
    let folder = Folder::new("two");
    let path = folder.file("comparisons.jsonl");
    let first = JsonLinesSink::open(&path).unwrap();
    let second = JsonLinesSink::open(&path).unwrap();
    assert_eq!(first.path(), path);
    assert_eq!(second.path(), folder.file("comparisons.jsonl.w2"));
    for _ in 0..100 {
        first.record(comparison("invalid"));
        second.record(comparison("invalid"));
    }
    drop((first, second));
    assert_eq!(read(&path).0.len(), 100);
    assert_eq!(read(&folder.file("comparisons.jsonl.w2")).0.len(), 100);
    // Now the first name is free again.
    assert_eq!(JsonLinesSink::open(&path).unwrap().path(), path);
}

#[test]
fn every_file_begins_with_a_header_and_no_two_are_equal() {
    let folder = Folder::new("headers");
    let path = folder.file("comparisons.jsonl");
    let mut retention = Retention::default();
    retention.bytes = 1_000;
    let options = JsonLinesSink::options()
        .with_retention(retention)
        .with_config_digest("5d1e09");
    let sink = options.open(&path).unwrap();
    for _ in 0..12 {
        sink.record(comparison("invalid"));
        sink.flush();
    }
    drop(sink);
    let first = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    let headers: Vec<_> = ["", ".1", ".2"]
        .iter()
        .map(|end| first(&folder.file(&format!("comparisons.jsonl{end}"))))
        .collect();
    for header in &headers {
        let Line::Header(header) = Line::from_json(header.as_bytes()).unwrap() else {
            panic!("{header} is no header")
        };
        assert_eq!(header.config.as_deref(), Some("5d1e09"));
    }
    assert!(headers[0] != headers[1] && headers[1] != headers[2]);
}

#[test]
fn files_that_are_deleted_because_all_are_full_are_counted() {
    let folder = Folder::new("rotated");
    let path = folder.file("comparisons.jsonl");
    let mut retention = Retention::default();
    (retention.bytes, retention.files) = (1_000, 1);
    let sink = JsonLinesSink::options()
        .with_retention(retention)
        .open(&path)
        .unwrap();
    for _ in 0..50 {
        sink.record(comparison("invalid"));
        sink.flush();
    }
    drop(sink);
    let old = folder.file("comparisons.jsonl.1");
    let kept = read(&path).0.len() + read(&old).0.len();
    let sum: u64 = losses(&path).values().chain(losses(&old).values()).sum();
    assert!(kept < 20, "{kept}");
    assert_eq!(kept as u64 + sum, 50);
}

/// Runs this test binary again as a process that writes until it is killed.
#[cfg(unix)]
#[test]
fn records_and_losses_are_all_that_was_sent_after_a_kill() {
    let folder = Folder::new("kill");
    let path = folder.file("comparisons.jsonl");
    let mut sent = 0;
    for _ in 0..5 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writes_until_it_is_killed"])
            .env("HUMAN_CHECK_TEST_FILE", &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let start = std::time::Instant::now();
        while read_if_there(&path) < 200 {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        sent = sent_by_ledger(&path);
        let sink = JsonLinesSink::open(&path).unwrap();
        drop(sink);
        let (records, _) = read(&path);
        let lost: u64 = losses(&path).values().sum();
        assert_eq!(records.len() as u64 + lost, sent);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(folder.file("comparisons.jsonl.lock")).unwrap();
    }
    assert!(sent >= 200);
}

#[cfg(unix)]
fn read_if_there(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

/// How many records were sent, as the file beside the records says it.
#[cfg(unix)]
fn sent_by_ledger(path: &Path) -> u64 {
    let bytes = std::fs::read(format!("{}.lock", path.display())).unwrap();
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// Not a test: the process that the test above kills.
#[cfg(unix)]
#[test]
#[ignore = "runs as a process of another test"]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("HUMAN_CHECK_TEST_FILE") else {
        return;
    };
    let sink = JsonLinesSink::open(PathBuf::from(path)).unwrap();
    loop {
        sink.record(comparison("invalid"));
    }
}

#[test]
fn a_change_of_settings_is_a_header_between_the_lines() {
    let folder = Folder::new("restate");
    let path = folder.file("comparisons.jsonl");
    let sink = JsonLinesSink::options()
        .with_config_digest("one")
        .open(&path)
        .unwrap();
    sink.record(comparison("invalid"));
    sink.restate(Some("two".to_owned()), None);
    sink.record(comparison("invalid"));
    drop(sink);
    let text = std::fs::read(&path).unwrap();
    let (mut lines, mut kinds) = (RecordReader::new(&*text), Vec::new());
    while let Some((_, line)) = lines.read().unwrap() {
        kinds.push(match line.unwrap() {
            Line::Header(header) => header.config.unwrap(),
            _ => "record".to_owned(),
        });
    }
    assert_eq!(kinds, ["one", "record", "two", "record"]);
}
