use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use human_check_core::{Comparison, ComparisonSink, ConfigError};

use crate::Record;
use crate::rotating_file::RotatingFile;

/// How much a [`JsonLinesSink`] keeps, in memory and on disk.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retention {
    /// How many comparisons may wait to be written; those beyond are dropped. 1,024 at first.
    pub waiting: usize,
    /// The size in bytes that a file does not outgrow. 64 MiB at first.
    pub bytes: u64,
    /// How many full files are kept beside the current one, as `file.1` (the youngest), `file.2` and
    /// so on. 5 at first.
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

/// Writes comparisons to a file, one [`Record`] a line.
///
/// Writing happens on a thread of its own: [`record`](ComparisonSink::record) never waits, and what
/// finds no room is dropped and counted. A disk that is full, or a folder that is gone, costs the
/// records of that time and nothing else; they are counted, the log says once that it began and
/// once that it is over, and a file that vanished is made anew.
///
/// What is there is appended to, by one process at a time. A last line that a crash tore is left as
/// it is, and the next record begins on a line of its own. On Unix a new file is its owner's alone
/// to read.
///
/// Dropping it, or [`close`](Self::close), waits until everything is written.
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
#[derive(Debug)]
pub struct JsonLinesSink {
    sender: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Message {
    Flush(SyncSender<()>),
    Record(Box<Record>),
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    lost: AtomicU64,
    written: AtomicU64,
    dropping: AtomicBool,
}

impl JsonLinesSink {
    /// Opens `path`, or makes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it cannot be written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::open_with(path, Retention::default())
    }

    /// Opens `path`, or makes it, and keeps so much.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it cannot be written, or nothing could be kept.
    pub fn open_with(path: impl Into<PathBuf>, keep: Retention) -> Result<Self, ConfigError> {
        if keep.waiting == 0 || keep.bytes == 0 {
            return Err(ConfigError::new(
                "keep",
                "leaves no room for a record",
                "let at least one wait, and give the file some bytes",
            ));
        }
        let file = RotatingFile::open(path.into(), keep.bytes, keep.files).map_err(|error| {
            ConfigError::new(
                "comparisons",
                format!("names a file that cannot be written ({})", error.kind()),
                "check the path, its permissions and the room on the disk",
            )
        })?;
        let counts = Arc::new(Counts::default());
        let (sender, receiver) = sync_channel(keep.waiting);
        let mut writer = Writer {
            file,
            counts: Arc::clone(&counts),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("human-check-comparisons".to_owned());
        let writer = thread.spawn(move || writer.run(&receiver)).map_err(|_| {
            ConfigError::new(
                "comparisons",
                "cannot have a thread to be written on",
                "raise the limit of threads",
            )
        })?;
        Ok(Self {
            sender: Some(sender),
            writer: Some(writer),
            counts,
        })
    }

    /// How many were dropped since the writer did not keep up.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// How many could not be written since the disk was full, or the folder gone.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// How many are in the file.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// Waits until what was recorded so far is in the file, or lost. Blocks.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let asked = self.sender.as_ref().map(|s| s.send(Message::Flush(done)));
        if let Some(Ok(())) = asked {
            // An error is a writer that is gone, for which there is nothing to wait.
            let _ = written.recv();
        }
    }

    /// Waits until everything is in the file, and stops. Blocks.
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
            // It does not panic, and if it did this is no place to do so, too.
            let _ = writer.join();
        }
    }
}

/// As much as is written in one go.
const BATCH: usize = 65_536;

struct Writer {
    file: RotatingFile,
    counts: Arc<Counts>,
    failing: bool,
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Message>) {
        while let Ok(message) = receiver.recv() {
            let mut next = Some(message);
            while let Some(message) = next.take() {
                next = self.batch(message, receiver);
            }
            // Everything that waited is written: whoever comes next finds room.
            if self.counts.dropping.swap(false, Ordering::Relaxed) {
                let dropped = self.counts.dropped.load(Ordering::Relaxed);
                tracing::warn!(target: "human_check", dropped, "comparisons are kept again; so many were dropped so far");
            }
        }
    }

    /// Writes `first` and those that wait behind it. Hands back the next, if there is one already.
    fn batch(&mut self, first: Message, receiver: &Receiver<Message>) -> Option<Message> {
        let (mut lines, mut count) = (Vec::new(), 0);
        let mut message = Some(first);
        while let Some(Message::Record(record)) = message {
            let line = record.to_json();
            let most = BATCH.min(usize::try_from(self.file.most_bytes()).unwrap_or(BATCH));
            if count > 0 && lines.len() + line.len() >= most {
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
                // Whoever asked may have given up.
                let _ = done.try_send(());
                receiver.try_recv().ok()
            }
            other => other,
        }
    }

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
                    tracing::warn!(target: "human_check", lost, "comparisons are written again; so many were lost so far");
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                if !self.failing {
                    self.failing = true;
                    // The kind only: a message may name a path.
                    tracing::error!(target: "human_check", kind = %error.kind(), "comparisons cannot be written and are lost");
                }
            }
        }
    }
}
