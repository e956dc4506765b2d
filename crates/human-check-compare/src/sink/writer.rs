use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::lines::{Header, Line, Lost};
use crate::{ExperimentHeader, RecordReader};

use super::ledger::{Account, Ledger, Place};
use super::rotating_file::RotatingFile;

/// The maximum size of one write, in bytes.
const BATCH: usize = 65_536;

/// How long losses wait at most until the file says them.
const LOSSES_WITHIN: Duration = Duration::from_secs(60);

/// The reason of losses that were written once, in a file that is deleted.
const ROTATED: &str = "rotated";

/// Returns how many lines were lost before they were written.
pub(super) fn unwritten(lost: &Lost) -> u64 {
    let rotated = lost.by_reason.get(ROTATED).copied();
    lost.total() - rotated.unwrap_or(0)
}

/// A message to the thread that writes.
#[derive(Debug)]
pub(super) enum Message {
    /// Sends one reply when all messages before this one are done.
    Flush(SyncSender<()>),
    /// Begins with a new header before the next line.
    Header(Option<String>, Option<Box<ExperimentHeader>>),
    /// Writes one line.
    Line(Box<Line>),
}

/// The counts of a sink, which its writer shares.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) dropped: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) written: AtomicU64,
    /// Whether the log has said that records are dropped.
    pub(super) dropping: AtomicBool,
    /// Losses that the file does not say yet, by reason.
    unsaid: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// Counts lines that the file will not have.
    pub(super) fn lose(&self, reason: &str, count: u64) {
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        *unsaid.entry(reason.to_owned()).or_default() += count;
    }

    fn take_unsaid(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.unsaid.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes the headers of a writer's files.
#[derive(Debug)]
pub(super) struct Headers {
    /// The random name of the writer.
    writer: String,
    files: u64,
    config: Option<String>,
    experiment: Option<ExperimentHeader>,
}

impl Headers {
    pub(super) fn new(
        writer: String,
        config: Option<String>,
        experiment: Option<ExperimentHeader>,
    ) -> Self {
        Self {
            writer,
            files: 0,
            config,
            experiment,
        }
    }

    /// Sets what the next headers say.
    pub(super) fn set(&mut self, config: Option<String>, experiment: Option<ExperimentHeader>) {
        self.config = config;
        self.experiment = experiment;
    }

    /// Returns the first line of the next file.
    fn next(&mut self) -> Vec<u8> {
        self.files += 1;
        let mut header = Header::new(SystemTime::now(), self.writer.clone(), self.files);
        header.config.clone_from(&self.config);
        header.experiment.clone_from(&self.experiment);
        let mut line = Line::Header(header).to_json().into_bytes();
        line.push(b'\n');
        line
    }
}

/// The part of a sink that runs on its thread.
pub(super) struct Writer {
    pub(super) file: RotatingFile,
    pub(super) headers: Headers,
    pub(super) counts: Arc<Counts>,
    pub(super) ledger: Arc<Ledger>,
    /// What the ledger says.
    pub(super) account: Account,
    /// Whether the last write failed, which the log has said.
    pub(super) failing: bool,
}

impl Writer {
    /// Writes lines until the sink is dropped.
    pub(super) fn run(&mut self, receiver: &Receiver<Message>) {
        let mut said = Instant::now();
        loop {
            let message = receiver.recv_timeout(LOSSES_WITHIN.saturating_sub(said.elapsed()));
            match message {
                Ok(message) => {
                    let mut next = Some(message);
                    while let Some(message) = next.take() {
                        next = self.batch(message, receiver);
                    }
                    // All waiting records are written, so the next ones find room.
                    if self.counts.dropping.swap(false, Ordering::Relaxed) {
                        let dropped = self.counts.dropped.load(Ordering::Relaxed);
                        tracing::warn!(target: "human_check", dropped, "records are no longer dropped; `dropped` is the number so far");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if said.elapsed() >= LOSSES_WITHIN {
                self.say_losses();
                said = Instant::now();
            }
        }
        self.say_losses();
    }

    /// Writes `first` and the lines that wait after it. Returns the message after a flush or
    /// a header, if one waits.
    fn batch(&mut self, first: Message, receiver: &Receiver<Message>) -> Option<Message> {
        let (mut lines, mut count) = (Vec::new(), 0);
        let mut message = Some(first);
        while let Some(Message::Line(line)) = message {
            let line = line.to_json();
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
                self.say_losses();
                // The thread that waits for the flush may have ended.
                let _ = done.try_send(());
                receiver.try_recv().ok()
            }
            Some(Message::Header(config, experiment)) => {
                self.headers.set(config, experiment.map(|plan| *plan));
                self.file.begin_with_header();
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
        match self.append(lines, count) {
            Ok(()) => {
                self.counts.written.fetch_add(count, Ordering::Relaxed);
                if self.failing {
                    self.failing = false;
                    let lost = self.counts.lost.load(Ordering::Relaxed);
                    tracing::warn!(target: "human_check", lost, "records are written again; `lost` is the number of lost ones so far");
                }
            }
            Err(error) => {
                self.counts.lost.fetch_add(count, Ordering::Relaxed);
                self.counts.lose("disk", count);
                if !self.failing {
                    self.failing = true;
                    // Only the kind, because the message may contain a path.
                    tracing::error!(target: "human_check", kind = %error.kind(), "records cannot be written and are lost");
                }
            }
        }
    }

    /// Writes how many lines were lost since the last time. If that cannot be written, it waits for the
    /// next time.
    fn say_losses(&mut self) {
        let by_reason = self.counts.take_unsaid();
        if by_reason.is_empty() {
            return;
        }
        let lost = Lost::new(SystemTime::now(), by_reason);
        let total = unwritten(&lost);
        let mut line = Line::Lost(lost.clone()).to_json().into_bytes();
        line.push(b'\n');
        if self.append(&line, total).is_err() {
            for (reason, count) in lost.by_reason {
                self.counts.lose(&reason, count);
            }
        }
    }

    /// Appends lines that stand for `count` records, and notes that in the ledger.
    fn append(&mut self, lines: &[u8], count: u64) -> std::io::Result<()> {
        let (headers, counts) = (&mut self.headers, &self.counts);
        let rotated_away = |path: &Path| {
            let records = records_after(path, Place::default(), |_| false, Lost::total);
            if records > 0 {
                counts.lose(ROTATED, records);
                tracing::warn!(target: "human_check", records, "the oldest file of records is deleted, because the files are full; keep more files");
            }
        };
        let place = self.file.append(lines, || headers.next(), rotated_away)?;
        self.account = Account {
            accounted: self.account.accounted + count,
            place,
        };
        self.ledger.set_account(self.account);
        Ok(())
    }
}

/// Returns how many records the lines of a file stand for, from `from` on, with those that `losses` finds
/// in a line of losses.
///
/// A process that was killed between a write and its note in the ledger has written them.
pub(super) fn records_after(
    path: &Path,
    from: Place,
    is_same: impl Fn(u64) -> bool,
    losses: impl Fn(&Lost) -> u64,
) -> u64 {
    use std::io::{BufReader, Seek, SeekFrom};
    let Ok(mut file) = std::fs::File::open(path) else {
        return 0;
    };
    let start = match is_same(from.file) {
        true => from.offset,
        false => 0,
    };
    // A device has no end.
    let is_there = |metadata: std::fs::Metadata| metadata.is_file() && start <= metadata.len();
    if !file.metadata().is_ok_and(is_there) || file.seek(SeekFrom::Start(start)).is_err() {
        return 0;
    }
    let mut reader = RecordReader::new(BufReader::new(file));
    let mut records = 0;
    while let Ok(Some((_, line))) = reader.read() {
        records += match line {
            Ok(Line::Comparison(_) | Line::Event(_)) => 1,
            Ok(Line::Lost(lost)) => losses(&lost),
            _ => 0,
        };
    }
    records
}
