use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use human_check_core::{Comparison, ComparisonSink, ConfigError};

use crate::Record;
use crate::rotating_file::RotatingFile;

/// How much a [`JsonLinesSink`] keeps, in memory and on disk.
///
/// ```
/// use human_check_compare::{JsonLinesSink, Retention};
///
/// # fn open(path: &str) -> Result<JsonLinesSink, human_check_core::ConfigError> {
/// let mut retention = Retention::default();
/// retention.bytes = 16 * 1_024 * 1_024;
/// retention.files = 10;
/// JsonLinesSink::open_with(path, retention)
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// How many comparisons may wait to be written, at least 1. Those beyond are dropped. Default
    /// 1,024.
    pub waiting: usize,
    /// The maximum size of a file in bytes, at least 1. Then the file is renamed. Default 64 MiB.
    pub bytes: u64,
    /// How many full files are kept beside the current one, as `file.1` (the youngest), `file.2`
    /// and so on. With 0, a full file is deleted. Default 5.
    pub files: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            waiting: 1_024,
            bytes: 64 * 1_024 * 1_024,
            files: 5,
        }
    }
}

/// A sink that appends comparisons to a file, one [`Record`] a line. It is the sink of a `Shadow`,
/// which compares providers on live traffic.
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
/// - A file that exists is appended to. One process writes one file. If a crash left an incomplete
///   last line, it stays, and the next record begins on a new line.
/// - On Unix only the owner may read a new file.
///
/// Dropping the sink, or [`close`](Self::close), blocks until all records are written or lost.
#[derive(Debug)]
pub struct JsonLinesSink {
    sender: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

/// A message to the thread that writes.
#[derive(Debug)]
enum Message {
    /// Sends one reply when all messages before this one are done.
    Flush(SyncSender<()>),
    /// Writes one record.
    Record(Box<Record>),
}

/// The counts of a sink, which its writer shares.
#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    lost: AtomicU64,
    written: AtomicU64,
    /// Whether the log has said that records are dropped.
    dropping: AtomicBool,
}

impl JsonLinesSink {
    /// Opens the file at `path`, or creates it, with the default [`Retention`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file cannot be written, or its thread cannot be started.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::open_with(path, Retention::default())
    }

    /// Opens the file at `path`, or creates it, and keeps as much as `retention` says.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file cannot be written, its thread cannot be started, or `waiting`
    /// or `bytes` is zero.
    pub fn open_with(path: impl Into<PathBuf>, retention: Retention) -> Result<Self, ConfigError> {
        if retention.waiting == 0 || retention.bytes == 0 {
            return Err(ConfigError::new(
                "retention",
                "has a `waiting` or `bytes` of zero, so no record could be kept",
                "set both above zero",
            ));
        }
        let file =
            RotatingFile::open(path.into(), retention.bytes, retention.files).map_err(|error| {
                ConfigError::new(
                    "comparisons",
                    format!("names a file that cannot be written ({})", error.kind()),
                    "check the path, its permissions and the free space on the disk",
                )
            })?;
        let counts = Arc::new(Counts::default());
        let (sender, receiver) = sync_channel(retention.waiting);
        let mut writer = Writer {
            file,
            counts: Arc::clone(&counts),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("human-check-comparisons".to_owned());
        let writer = thread.spawn(move || writer.run(&receiver)).map_err(|_| {
            ConfigError::new(
                "comparisons",
                "names a file whose thread cannot be started",
                "raise the limit of threads of this process",
            )
        })?;
        Ok(Self {
            sender: Some(sender),
            writer: Some(writer),
            counts,
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

    /// Blocks until all records before this call are written or lost.
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
        let message = Message::Record(Box::new(Record::from(comparison)));
        let sent = self.sender.as_ref().map(|s| s.try_send(message));
        if let Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) = sent {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            if !self.counts.dropping.swap(true, Ordering::Relaxed) {
                tracing::warn!(target: "human_check", "comparisons are dropped: the file does not keep up");
            }
        }
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

/// The maximum size of one write, in bytes.
const BATCH: usize = 65_536;

/// The part of a sink that runs on its thread.
struct Writer {
    file: RotatingFile,
    counts: Arc<Counts>,
    /// Whether the last write failed, which the log has said.
    failing: bool,
}

impl Writer {
    /// Writes records until the sink is dropped.
    fn run(&mut self, receiver: &Receiver<Message>) {
        while let Ok(message) = receiver.recv() {
            let mut next = Some(message);
            while let Some(message) = next.take() {
                next = self.batch(message, receiver);
            }
            // All waiting records are written, so the next ones find room.
            if self.counts.dropping.swap(false, Ordering::Relaxed) {
                let dropped = self.counts.dropped.load(Ordering::Relaxed);
                tracing::warn!(target: "human_check", dropped, "comparisons are no longer dropped; `dropped` is the number so far");
            }
        }
    }

    /// Writes `first` and the records that wait after it. Returns the message after a flush, if one
    /// waits.
    fn batch(&mut self, first: Message, receiver: &Receiver<Message>) -> Option<Message> {
        let (mut lines, mut count) = (Vec::new(), 0);
        let mut message = Some(first);
        while let Some(Message::Record(record)) = message {
            let line = record.to_json();
            let max = BATCH.min(usize::try_from(self.file.max_bytes()).unwrap_or(BATCH));
            if count > 0 && lines.len() + line.len() >= max {
                self.write(&lines, count);
                (lines, count) = (Vec::new(), 0);
            }
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
            count += 1;
            message = receiver.try_recv().ok();
        }
        self.write(&lines, count);
        match message {
            Some(Message::Flush(done)) => {
                // The thread that waits for the flush may have ended.
                let _ = done.try_send(());
                receiver.try_recv().ok()
            }
            other => other,
        }
    }

    /// Writes `count` lines, or counts them as lost.
    fn write(&mut self, lines: &[u8], count: u64) {
        if count == 0 {
            return;
        }
        match self.file.append(lines) {
            Ok(()) => {
                self.counts.written.fetch_add(count, Ordering::Relaxed);
                if self.failing {
                    self.failing = false;
                    let lost = self.counts.lost.load(Ordering::Relaxed);
                    tracing::warn!(target: "human_check", lost, "comparisons are written again; `lost` is the number of lost ones so far");
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                if !self.failing {
                    self.failing = true;
                    // Only the kind, because the message may contain a path.
                    tracing::error!(target: "human_check", kind = %error.kind(), "comparisons cannot be written and are lost");
                }
            }
        }
    }
}
