//! The file of records that `compare` writes, and reads to continue an earlier run.
//!
//! Each record is one line with the id of its line of tokens, and a line with `begun` and the same id
//! is written before its providers are called. Only the last line can be incomplete, because each line
//! is written at once.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use human_check_compare::{Line, Record, RecordReader};

/// The file of records, open for appending, and the ids in it.
pub(crate) struct RecordFile {
    file: File,
    /// The ids of the lines that have a record.
    pub(crate) done: HashSet<String>,
    /// The ids of lines whose providers were called by a run that was killed, so that their tokens may
    /// be used up.
    pub(crate) interrupted: Vec<String>,
}

impl RecordFile {
    /// Opens the file at `path`, or creates it for its owner alone.
    ///
    /// An incomplete last line, which a killed run left, is removed. No other process may write the
    /// file.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be read or written, another process writes it, or another line
    /// is not a record. Then it is not a file of records, and is not changed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let name = path.display();
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; choose another --output"),
            )
        };
        let foreign = |number: u64| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{name}:{number} is not a record of a comparison; correct it, or choose another --output"
                ),
            )
        };
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(named(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!(
                        "{name}: another run writes it; wait for it, or choose another --output"
                    ),
                ));
            }
        }
        let (tail_start, tail) = tail(&mut file).map_err(named)?;
        file.seek(SeekFrom::Start(0)).map_err(named)?;
        let (mut done, mut begun) = (HashSet::new(), HashSet::new());
        let mut lines = RecordReader::new(BufReader::new((&mut file).take(tail_start)));
        let mut last = 0;
        while let Some((number, line)) = lines.read().map_err(named)? {
            last = number;
            match line {
                Ok(Line::Begun(id)) => drop(begun.insert(id)),
                Ok(Line::Comparison(record)) => done.extend(id_of(record)),
                _ => return Err(foreign(number)),
            }
        }
        if !tail.is_empty() {
            if let Ok(line) = Line::from_json(&tail) {
                // Only the line break is missing.
                file.write_all(b"\n").map_err(named)?;
                match line {
                    Line::Begun(id) => drop(begun.insert(id)),
                    Line::Comparison(record) => done.extend(id_of(record)),
                    _ => return Err(foreign(last + 1)),
                }
            } else if STARTS
                .iter()
                .any(|start| tail.starts_with(start) || start.starts_with(&tail))
            {
                file.set_len(tail_start).map_err(named)?;
            } else {
                return Err(foreign(last + 1));
            }
        }
        let mut interrupted: Vec<_> = begun.difference(&done).cloned().collect();
        interrupted.sort_unstable();
        Ok(Self {
            file,
            done,
            interrupted,
        })
    }

    /// Appends one line with one write, so that a kill leaves at most this line incomplete.
    pub(crate) fn append(&mut self, line: &Line) -> io::Result<()> {
        self.file
            .write_all(format!("{}\n", line.to_json()).as_bytes())
    }
}

/// Returns the id of a record.
fn id_of(record: Record) -> Option<String> {
    record.comparison.id.map(|id| id.to_string())
}

/// The texts that the lines begin with.
const STARTS: [&[u8]; 2] = [b"{\"at\":\"", b"{\"begun\":\""];

/// The maximum length of an incomplete last line, more than any record has.
const MAX_TAIL_BYTES: u64 = 65_536;

/// Returns where the text behind the last line break begins, and that text.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(MAX_TAIL_BYTES).read_to_end(&mut end)?;
    let after = end
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let tail = end.split_off(after);
    let at = length.saturating_sub(u64::try_from(tail.len()).unwrap_or(0));
    Ok((at, tail))
}
