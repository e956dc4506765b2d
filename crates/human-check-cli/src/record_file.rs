//! The file that `compare` writes, and reads again to go on.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use human_check_compare::{Record, RecordReader};

/// The output, open to be appended to, and the ids that are in it.
pub(crate) struct RecordFile {
    file: File,
    pub(crate) done: HashSet<String>,
}

impl RecordFile {
    /// Opens `path`, or makes it.
    ///
    /// A last line that a kill tore is taken back: what it says was never finished. Any other line
    /// that is no record means that this is some other file, which is left alone.
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
                    "{name}:{number} is no record of a comparison; mend it, or choose another --output"
                ),
            )
        };
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(named)?;
        let (torn_at, tail) = tail(&mut file).map_err(named)?;
        file.seek(SeekFrom::Start(0)).map_err(named)?;
        let mut done = HashSet::new();
        let mut lines = RecordReader::new(BufReader::new((&mut file).take(torn_at)));
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
                file.set_len(torn_at).map_err(named)?;
            } else {
                return Err(foreign(last + 1));
            }
        }
        Ok(Self { file, done })
    }

    /// Appends one record, with one call, so that a kill tears at most this line.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.file
            .write_all(format!("{}\n", record.to_json()).as_bytes())
    }
}

/// How every record begins.
const START: &[u8] = b"{\"at\":\"";

/// Far more than a record.
const TAIL_CAP: u64 = 65_536;

/// What stands behind the last line break, and where it begins.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_CAP);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(TAIL_CAP).read_to_end(&mut end)?;
    let after = end
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let tail = end.split_off(after);
    let at = length.saturating_sub(u64::try_from(tail.len()).unwrap_or(0));
    Ok((at, tail))
}
