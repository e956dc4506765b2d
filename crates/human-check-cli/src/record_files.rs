//! The files of a report, each opened once, and those that hold the same records as another one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use human_check_compare::{
    ExperimentTally, Input, InputWatch, Line, RecordReader, StopNote, Tally,
};

/// What the files of a report hold.
pub(crate) struct ReadRecords {
    pub(crate) tally: Tally,
    pub(crate) experiment: ExperimentTally,
    pub(crate) input: Input,
    /// How many comparisons and how many events there are.
    pub(crate) comparisons: u64,
    pub(crate) events: u64,
}

impl ReadRecords {
    /// Reads files. What cannot be read goes to `errors` with its place.
    ///
    /// # Errors
    ///
    /// [`io::Error`] that names a file which cannot be read.
    pub(crate) fn from_files(
        paths: &[PathBuf],
        label_window: Duration,
        errors: &mut impl Write,
    ) -> io::Result<Self> {
        let mut watch = InputWatch::new(SystemTime::now());
        let (mut tally, mut comparisons, mut events) = (Tally::new(), 0, 0);
        let mut experiment = ExperimentTally::new().with_label_window(label_window);
        let files = RecordFiles::open(paths)?;
        for name in &files.repeated {
            watch.repeated(name);
            writeln!(
                errors,
                "{name}: holds the same records as another file, and is left out"
            )?;
        }
        for file in files.files {
            let name = file.name;
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{name}: {error}; check the path"))
            };
            watch.begin(&name);
            experiment.begin_file();
            let mut lines = RecordReader::new(file.reader);
            while let Some((number, line)) = lines.read().map_err(named)? {
                watch.see(number, &line);
                match line {
                    Ok(line) => {
                        comparisons += u64::from(matches!(line, Line::Comparison(_)));
                        events += u64::from(matches!(line, Line::Event(_)));
                        tally.add_line(&line);
                        experiment.add_line(&line);
                    }
                    Err(error) => writeln!(errors, "{name}:{number}: {error}")?,
                }
            }
        }
        Ok(Self {
            tally,
            experiment,
            input: watch.finish(),
            comparisons,
            events,
        })
    }
}

/// Files of records.
struct RecordFiles {
    /// The files to read, in the order of the arguments.
    files: Vec<RecordInput>,
    /// The names of files that another one of the same records makes superfluous.
    repeated: Vec<String>,
}

/// A file to read.
struct RecordInput {
    /// The name, as the argument gave it.
    name: String,
    reader: BufReader<File>,
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
    fn open(paths: &[PathBuf]) -> io::Result<Self> {
        let mut files: Vec<(RecordInput, u64)> = Vec::new();
        let mut by_first_line: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut repeated = Vec::new();
        for path in records_among(paths) {
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

/// Returns the files without those that stand beside files of records: `FILE.lock` and `FILE.state`,
/// which `FILE*` names, too.
pub(crate) fn records_among(paths: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    let is_beside = |path: &Path| {
        let extension = path.extension();
        extension.is_some_and(|extension| extension == "lock" || extension == "state")
    };
    paths
        .iter()
        .filter(move |path| paths.len() == 1 || !is_beside(path))
}

/// Returns the note that an experiment has stopped: from `state`, or from the file `FILE.state` beside
/// one of the files.
///
/// # Errors
///
/// [`io::Error`] that names a state file which cannot be read, or whose folder does not exist.
pub(crate) fn stop_note(
    files: &[PathBuf],
    state: Option<&Path>,
    name: &str,
) -> io::Result<Option<StopNote>> {
    let beside = |file: &PathBuf| {
        let mut name = file.clone().into_os_string();
        name.push(".state");
        PathBuf::from(name)
    };
    let states = match state {
        Some(state) => vec![state.to_owned()],
        None => records_among(files).map(beside).collect(),
    };
    for state in states {
        let folder = state.parent().filter(|folder| *folder != Path::new(""));
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{}: its folder does not exist", state.display()),
            ));
        }
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", state.display()))
        };
        if let Some(note) = StopNote::read(&state, name).map_err(named)? {
            return Ok(Some(note));
        }
    }
    Ok(None)
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
