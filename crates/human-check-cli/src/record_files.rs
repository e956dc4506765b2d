//! The files of a report, each opened once, and those that hold the same records as another one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

/// Files of records.
pub(crate) struct RecordFiles {
    /// The files to read, in the order of the arguments.
    pub(crate) files: Vec<RecordInput>,
    /// The names of files that another one of the same records makes superfluous.
    pub(crate) repeated: Vec<String>,
}

/// A file to read.
pub(crate) struct RecordInput {
    /// The name, as the argument gave it.
    pub(crate) name: String,
    pub(crate) reader: BufReader<File>,
}

impl RecordFiles {
    /// Opens files.
    ///
    /// Two files are the same if their first lines are: a header has the random name of its writer,
    /// and an older file begins with a record, whose time and latencies no other one has. A copy that
    /// was made earlier is shorter, so the longest one is read.
    ///
    /// # Errors
    ///
    /// [`io::Error`] that names a file which cannot be read.
    pub(crate) fn open(paths: &[PathBuf]) -> io::Result<Self> {
        let mut files: Vec<(RecordInput, u64)> = Vec::new();
        let mut by_first_line: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut repeated = Vec::new();
        for path in paths {
            let name = path.display().to_string();
            let (first_line, length, reader) = open(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{name}: {error}; check the path"))
            })?;
            let input = RecordInput { name, reader };
            match by_first_line.get(&first_line) {
                Some(place) if !first_line.is_empty() => {
                    let (known, known_length) = &mut files[*place];
                    if length > *known_length {
                        repeated.push(std::mem::replace(known, input).name);
                        *known_length = length;
                    } else {
                        repeated.push(input.name);
                    }
                }
                _ => {
                    by_first_line.insert(first_line, files.len());
                    files.push((input, length));
                }
            }
        }
        Ok(Self {
            files: files.into_iter().map(|(input, _)| input).collect(),
            repeated,
        })
    }
}

/// Opens a file. Returns its first line that is not empty, its length, and a reader at its start.
fn open(path: &Path) -> io::Result<(Vec<u8>, u64, BufReader<File>)> {
    let mut reader = BufReader::new(File::open(path)?);
    let length = reader.get_ref().metadata()?.len();
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        line.clear();
        let mut start = io::Read::take(&mut reader, 65_536);
        if start.read_until(b'\n', &mut line)? == 0 {
            break;
        }
    }
    reader.rewind()?;
    Ok((line.trim_ascii().to_vec(), length, reader))
}
