//! The file that a running service writes records into.

mod ledger;
mod retention;
mod rotating_file;
mod writer;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use human_check_core::{Comparison, ComparisonSink, ConfigError, EventSink, ExperimentEvent};

use crate::{ExperimentHeader, Line, Record};

use ledger::{Account, Ledger};
pub use retention::Retention;
use rotating_file::RotatingFile;
use writer::{Counts, Headers, Message, Writer, records_after, unwritten};

/// How many files are tried, of which each has one writer.
const MAX_WRITERS: u32 = 9;

/// A sink that appends to a file of records, one [`Line`] for each comparison of a `Shadow` or each event
/// of an experiment.
///
/// ```
/// use human_check_core::HumanCheckExt;
/// use human_check_compare::JsonLinesSink;
/// # use human_check_core::HumanCheck;
/// # fn compared(current: impl HumanCheck, candidate: impl HumanCheck) -> Result<(), human_check_core::ConfigError> {
///
/// let sink = JsonLinesSink::open("comparisons.jsonl")?;
/// let check = current.shadow(candidate, sink)?;
/// # Ok(())
/// # }
/// ```
///
/// - A thread of its own writes the file, so [`record`](ComparisonSink::record) never blocks. A
///   comparison that finds [`waiting`](Retention::waiting) others before it is dropped and counted.
/// - While the file cannot be written, as with a full disk or a missing folder, records are lost
///   and counted. A missing file is created again as soon as its folder exists.
/// - The log says once that drops or losses began, and once that they are over, as events of the
///   target `human_check`.
/// - Lines that are lost for any reason are counted in the file itself: a line with `lost` at least every
///   minute in which that happened, at [`flush`](Self::flush) and at the end. Records and losses together
///   are all that was sent, also after the process was killed: `FILE.lock` counts what was sent.
/// - A file that exists is appended to, after a header. One sink writes one file: while another one, or
///   another process, writes it, the file is `FILE.w2`, and so on up to `FILE.w9`. If a crash left an
///   incomplete last line, it stays, and the next line is a new one.
/// - On Unix only the owner may read a new file.
///
/// Dropping the sink, or [`close`](Self::close), blocks until all records are written or lost.
#[derive(Debug)]
pub struct JsonLinesSink {
    path: PathBuf,
    sender: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
    ledger: Arc<Ledger>,
}

/// How a [`JsonLinesSink`] is opened, and what its headers say.
///
/// ```
/// use human_check_compare::JsonLinesSink;
///
/// # fn open(path: &str) -> Result<JsonLinesSink, human_check_core::ConfigError> {
/// JsonLinesSink::options().with_config_digest("5d1e09").open(path)
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "call `open`"]
pub struct JsonLinesOptions {
    retention: Retention,
    config: Option<String>,
    experiment: Option<ExperimentHeader>,
}

impl JsonLinesOptions {
    /// Sets how much is kept, in memory and on disk. Default [`Retention::default`].
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the digest of the settings that matter, as a short name. Default none.
    ///
    /// A report says when it changed, because records before and after cannot be compared.
    pub fn with_config_digest(mut self, digest: impl Into<String>) -> Self {
        self.config = Some(digest.into());
        self
    }

    /// Sets the plan of the experiment whose events are written. Default none.
    pub fn with_experiment(mut self, experiment: ExperimentHeader) -> Self {
        self.experiment = Some(experiment);
        self
    }

    /// Opens the file at `path`, or creates it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file cannot be written, its thread cannot be started, all nine names of
    /// it have writers, or `waiting` or `bytes` of the retention is zero.
    pub fn open(self, path: impl Into<PathBuf>) -> Result<JsonLinesSink, ConfigError> {
        JsonLinesSink::new(&path.into(), &self)
    }
}

/// Returns the error of a file that cannot be written.
fn unwritable(error: &std::io::Error) -> ConfigError {
    ConfigError::new(
        "file",
        format!("names a file that cannot be written ({})", error.kind()),
        "check the path, its permissions and the free space on the disk",
    )
}

impl JsonLinesSink {
    /// Opens the file at `path`, or creates it, with the default [`Retention`].
    ///
    /// # Errors
    ///
    /// As for [`JsonLinesOptions::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::options().open(path)
    }

    /// Returns the options with which a sink is opened.
    pub fn options() -> JsonLinesOptions {
        JsonLinesOptions::default()
    }

    fn new(path: &Path, options: &JsonLinesOptions) -> Result<Self, ConfigError> {
        let retention = options.retention;
        if retention.waiting == 0 || retention.bytes == 0 {
            return Err(ConfigError::new(
                "retention",
                "has a `waiting` or `bytes` of zero, so no record could be kept",
                "set both above zero",
            ));
        }
        let first = path;
        let (path, ledger) = lock(first)?;
        let is_first = path == first;
        let account = ledger.account();
        let is_same = |file| rotating_file::number_of(&path) == file;
        let after = records_after(&path, account.place, is_same, unwritten);
        let file = RotatingFile::open(path.clone(), retention.bytes, retention.files)
            .map_err(|error| unwritable(&error))?;
        // A file that was replaced, as by a restored copy, is counted again.
        let accounted = (account.accounted + after).min(ledger.sent());
        let counts = Arc::new(Counts::default());
        // What an earlier process counted as sent and is not in the file.
        let ended = ledger.sent().saturating_sub(accounted);
        if ended > 0 {
            counts.lose("ended", ended);
            tracing::warn!(target: "human_check", ended, "an earlier process ended before it had written all records; `ended` is their number");
        }
        let account = Account {
            accounted,
            place: file.place(),
        };
        ledger.set_account(account);
        let ledger = Arc::new(ledger);
        let name = format!("{:016x}", RandomState::new().build_hasher().finish());
        let (sender, receiver) = sync_channel(retention.waiting);
        let mut writer = Writer {
            file,
            headers: Headers::new(name, options.config.clone(), options.experiment.clone()),
            counts: Arc::clone(&counts),
            ledger: Arc::clone(&ledger),
            account,
            failing: false,
        };
        let thread = std::thread::Builder::new().name("human-check-records".to_owned());
        let writer = thread.spawn(move || writer.run(&receiver)).map_err(|_| {
            ConfigError::new(
                "file",
                "names a file whose thread cannot be started",
                "raise the limit of threads of this process",
            )
        })?;
        if is_first {
            say_losses_of_others(first, options);
        }
        Ok(Self {
            path,
            sender: Some(sender),
            writer: Some(writer),
            counts,
            ledger,
        })
    }

    /// Returns how many records were dropped, because too many others waited to be written.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Returns how many records were lost, because the file could not be written.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Returns how many records this sink has written.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Returns the path of the file, which ends in `.w2` or so if another writer has the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a line to the writer, or counts it as dropped.
    fn send(&self, line: Line) {
        self.ledger.count_sent();
        let message = Message::Line(Box::new(line));
        let sent = self.sender.as_ref().map(|s| s.try_send(message));
        if let Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = sent {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            self.counts.lose("queue", 1);
            if !self.counts.dropping.swap(true, Ordering::Relaxed) {
                tracing::warn!(target: "human_check", "records are dropped: the file does not keep up");
            }
        }
    }

    /// States other settings in a new header: the digest of the configuration, and the plan of the
    /// experiment. Lines that wait already come before it.
    ///
    /// A full queue holds the caller up until there is room, because settings change seldom.
    pub fn restate(&self, config: Option<String>, experiment: Option<ExperimentHeader>) {
        let message = Message::Header(config, experiment.map(Box::new));
        // An error means that the writer has ended.
        let _ = self.sender.as_ref().map(|sender| sender.send(message));
    }

    /// Blocks until all records before this call, and the losses so far, are written or lost.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let sent = self.sender.as_ref().map(|s| s.send(Message::Flush(done)));
        if let Some(Ok(())) = sent {
            // An error means that the writer has ended, and then there is nothing to wait for.
            let _ = written.recv();
        }
    }

    /// Blocks until all records are written or lost, and closes the file. Dropping the sink does
    /// the same.
    pub fn close(self) {
        drop(self);
    }
}

impl ComparisonSink for JsonLinesSink {
    fn record(&self, comparison: Comparison) {
        self.send(Line::Comparison(Record::from(comparison)));
    }

    fn lost(&self, reason: &'static str) {
        self.ledger.count_sent();
        self.counts.lose(reason, 1);
    }
}

impl EventSink for JsonLinesSink {
    fn record(&self, event: ExperimentEvent) {
        self.send(Line::Event(event));
    }
}

impl Drop for JsonLinesSink {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(writer) = self.writer.take() {
            // The writer does not panic. If it did, a second panic in a drop would end the process.
            let _ = writer.join();
        }
    }
}

/// Says what is missing in the files of further writers, which may never run again.
fn say_losses_of_others(first: &Path, options: &JsonLinesOptions) {
    for number in 2..=MAX_WRITERS {
        let path = numbered(first, number);
        if !path.exists() {
            continue;
        }
        let Ok(Some(ledger)) = Ledger::lock(&path) else {
            continue;
        };
        let account = ledger.account();
        let is_same = |file| rotating_file::number_of(&path) == file;
        let after = records_after(&path, account.place, is_same, unwritten);
        let is_missing = ledger.sent() > account.accounted + after;
        drop(ledger);
        if is_missing {
            // A sink that is opened and closed writes them.
            drop(options.clone().open(&path));
        }
    }
}

/// Returns the name of the file of a further writer.
fn numbered(first: &Path, number: u32) -> PathBuf {
    let mut name = first.to_owned().into_os_string();
    if number > 1 {
        name.push(format!(".w{number}"));
    }
    name.into()
}

/// Returns the first file that no other sink writes, with its lock.
fn lock(path: &Path) -> Result<(PathBuf, Ledger), ConfigError> {
    for number in 1..=MAX_WRITERS {
        let candidate = numbered(path, number);
        let Some(ledger) = Ledger::lock(&candidate).map_err(|error| unwritable(&error))? else {
            continue;
        };
        if number > 1 {
            let name = candidate.file_name().unwrap_or_default().to_string_lossy();
            tracing::warn!(target: "human_check", file = %name, "another process writes the file of records, so this one writes its own beside it; give both to the report");
        }
        return Ok((candidate, ledger));
    }
    Err(ConfigError::new(
        "file",
        "names a file that nine processes write already",
        "name another file for this process",
    ))
}
