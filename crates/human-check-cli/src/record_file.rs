//! The file of records that `compare` writes, and reads to continue an earlier run.
//!
//! Each record is one line with the id of its line of tokens. Only the last line can be incomplete,
//! because each record is written at once.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use human_check_compare::{Record, RecordReader};

/// The file of records, open for appending, and the ids in it.
pub(crate) struct RecordFile {
    file: File,
    /// The ids of the lines that have a record.
    pub(crate) done: HashSet<String>,
}

impl RecordFile {
    /// Opens the file at `path`, or creates it for its owner alone.
    ///
    /// An incomplete last line, which a killed run left, is removed, so its line is verified again.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the file cannot be read or written, or another line is not a record. Then
    /// it is not a file of records, and is not changed.
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
        let (tail_start, tail) = tail(&mut file).map_err(named)?;
        file.seek(SeekFrom::Start(0)).map_err(named)?;
        let mut done = HashSet::new();
        let mut lines = RecordReader::new(BufReader::new((&mut file).take(tail_start)));
        let mut last = 0;
        while let Some((number, line)) = lines.read().map_err(named)? {
            last = number;
            let Ok(Record { id, .. }) = line else {
                return Err(foreign(number));
            };
            done.extend(id);
        }
        if !tail.is_empty() {
            if let Ok(record) = Record::from_json(&tail) {
                // Only the line break is missing.
                file.write_all(b"\n").map_err(named)?;
                done.extend(record.id);
            } else if tail.starts_with(START) || START.starts_with(&tail) {
                file.set_len(tail_start).map_err(named)?;
            } else {
                return Err(foreign(last + 1));
            }
        }
        Ok(Self { file, done })
    }

    /// Appends one record with one write, so that a kill leaves at most this line incomplete.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.file
            .write_all(format!("{}\n", record.to_json()).as_bytes())
    }
}

/// The text that every record begins with.
const START: &[u8] = b"{\"at\":\"";

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
