//! `experiment`: where an experiment stands, its stop, and the end of its receipts.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use human_check_compare::{Conclusion, ExperimentStatistics, Line, StopNote};
use human_check_core::Receipt;

use crate::args::ExperimentCommand;
use crate::record_files::{ReadRecords, records_among, stop_note};

/// The exit code of an experiment that has stopped.
const STOPPED: u8 = 1;

/// The exit code of an interrupted run, as shells have it.
const INTERRUPTED: u8 = 130;

/// The time for labels, of which these commands show none.
const LABEL_WINDOW: Duration = Duration::from_secs(14 * 86_400);

/// Runs a command and returns its exit code.
///
/// # Errors
///
/// [`io::Error`] that names a file which cannot be read or written.
pub(crate) async fn run(
    command: ExperimentCommand,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<u8> {
    match command {
        ExperimentCommand::Status { files, state, json } => {
            let statistics = read(&files, errors)?;
            let note = stop_note(&files, state.as_deref(), &statistics.name)?;
            if let Some(state) = state.filter(|state| !state.exists()) {
                let state = state.display();
                writeln!(errors, "{state} does not exist: no stop was written there")?;
            }
            status(&statistics, note.as_ref(), json, out)?;
            Ok(if note.is_some() { STOPPED } else { 0 })
        }
        ExperimentCommand::Watch {
            files,
            state,
            every,
            once,
        } => {
            watch(
                &files,
                &state,
                Duration::from_secs(every.max(1)),
                once,
                out,
                errors,
            )
            .await
        }
        ExperimentCommand::Forget { files } => {
            let files = forget(&files)?;
            writeln!(errors, "files with new receipts: {files}")?;
            Ok(0)
        }
    }
}

fn read(files: &[PathBuf], errors: &mut impl Write) -> io::Result<ExperimentStatistics> {
    let read = ReadRecords::from_files(files, LABEL_WINDOW, errors)?;
    if read.experiment.plan().is_none() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the files hold no header of an experiment; give those that [experiment] names",
        ));
    }
    Ok(read.experiment.statistics_of(read.input))
}

/// Prints where an experiment stands.
fn status(
    statistics: &ExperimentStatistics,
    note: Option<&StopNote>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        let conclusions = statistics.comparisons.iter();
        let conclusions: serde_json::Map<_, _> = conclusions
            .map(|comparison| {
                (
                    comparison.arm.clone(),
                    serde_json::json!(comparison.conclusion),
                )
            })
            .collect();
        let json = serde_json::json!({
            "name": statistics.name,
            "stopped": note,
            "planned": statistics.planned,
            "split": statistics.split,
            "arms": statistics.arms,
            "conclusions": conclusions,
        });
        return writeln!(out, "{json}");
    }
    writeln!(out, "experiment  {}", statistics.name)?;
    match note {
        Some(note) => writeln!(
            out,
            "state       stopped at {}: {}, {}",
            note.at, note.arm, note.reason
        )?,
        None => writeln!(out, "state       not stopped")?,
    }
    for arm in &statistics.arms {
        let completion = arm.completion.map_or("–".to_owned(), |completion| {
            format!("{:.1} %", completion.share * 100.0)
        });
        writeln!(
            out,
            "arm         {}: {} shown, {} completed ({completion})",
            arm.arm, arm.shown, arm.completed
        )?;
    }
    let split = match statistics.split.is_as_planned {
        true => "as planned",
        false => "NOT as planned: visitors of one arm are missing",
    };
    writeln!(out, "split       {split}")?;
    writeln!(out, "missing     {} events", statistics.input.lost_total())?;
    for comparison in &statistics.comparisons {
        let said = match &comparison.conclusion {
            Conclusion::CannotCompare => "cannot be compared",
            Conclusion::Better { .. } => "completes more",
            Conclusion::NotWorse { .. } => "is not worse by more than the margin",
            Conclusion::Worse { .. } => "completes less",
            _ => "is not decided yet",
        };
        let completed = comparison.steps.last().and_then(|step| step.any_time);
        let interval = completed.map_or(String::new(), |interval| {
            let [low, high] = [interval.low, interval.high].map(|share| share * 100.0);
            format!(", between {low:.1} and {high:.1} points at any time")
        });
        writeln!(out, "so far      {} {said}{interval}", comparison.arm)?;
    }
    Ok(())
}

async fn watch(
    files: &[PathBuf],
    state: &Path,
    every: Duration,
    once: bool,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<u8> {
    let mut has_read = false;
    loop {
        let statistics = match read(files, errors) {
            Ok(statistics) => statistics,
            // A file that a server rotates is missing for a moment.
            Err(error) if has_read && !once => {
                writeln!(errors, "{error}; looking again")?;
                tokio::select! {
                    () = tokio::time::sleep(every) => continue,
                    _ = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
                }
            }
            Err(error) => return Err(error),
        };
        has_read = true;
        let known = stop_note(files, Some(state), &statistics.name)?;
        let note = match (known, statistics.breach()) {
            (Some(note), _) => Some(note),
            (None, Some((arm, breach))) => {
                let reason = breach.to_string();
                let note = StopNote::new(&statistics.name, arm, reason, SystemTime::now());
                note.write(state).map_err(|error| {
                    let name = state.display();
                    io::Error::new(error.kind(), format!("{name}: {error}; check the path"))
                })?;
                Some(note)
            }
            (None, None) => None,
        };
        if let Some(note) = note {
            writeln!(
                out,
                "{} has stopped at {}: {}, {}",
                note.experiment, note.at, note.arm, note.reason
            )?;
            return Ok(STOPPED);
        }
        if once {
            writeln!(out, "{} goes on", statistics.name)?;
            return Ok(0);
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = tokio::signal::ctrl_c() => return Ok(INTERRUPTED),
        }
    }
}

/// Replaces all receipts in files.
///
/// The new ones are digests with a key that is forgotten at the end, so equal receipts stay equal in all
/// files and lead back to no account.
fn forget(files: &[PathBuf]) -> io::Result<usize> {
    let keys = [RandomState::new(), RandomState::new()];
    let renamed = |receipt: &Receipt| {
        let [high, low] = keys.each_ref().map(|key| key.hash_one(receipt.as_bytes()));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Receipt::from_bytes(bytes)
    };
    let mut paths: Vec<&PathBuf> = Vec::new();
    let mut known = HashSet::new();
    for path in records_among(files) {
        let is_new = known.insert(path.canonicalize().unwrap_or_else(|_| path.clone()));
        paths.extend(is_new.then_some(path));
    }
    // A server that has written one of them may not go on before all are replaced.
    let _locks = lock_all(&paths)?;
    // All new files first, so that an error leaves every file as it was.
    let mut written = Vec::new();
    for path in paths {
        let name = path.display();
        let new_path = beside(path, ".new");
        let done = rewrite(path, &new_path, renamed);
        written.push((path, new_path));
        if let Err(error) = done {
            for (_, new_path) in &written {
                // It may not be there.
                let _ = std::fs::remove_file(new_path);
            }
            let problem = format!("{name}: {error}; no file is changed");
            return Err(io::Error::new(error.kind(), problem));
        }
    }
    for (path, new_path) in &written {
        std::fs::rename(new_path, path).map_err(|error| {
            let (from, to) = (new_path.display(), path.display());
            let problem =
                format!("{from} cannot become {to} ({error}); rename by hand all that end in .new");
            io::Error::new(error.kind(), problem)
        })?;
    }
    Ok(written.len())
}

/// Locks files against the servers that write them: `FILE.lock` for `FILE`, and for the full file
/// `FILE.1` as well.
fn lock_all(paths: &[&PathBuf]) -> io::Result<Vec<File>> {
    let is_number = |end: &OsStr| end.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut locks = BTreeMap::new();
    for path in paths {
        let is_full = path.extension().is_some_and(is_number);
        let of_full = is_full.then(|| beside(&path.with_extension(""), ".lock"));
        for lock in [Some(beside(path, ".lock")), of_full].into_iter().flatten() {
            locks.insert(lock, path.display());
        }
    }
    let mut held = Vec::new();
    for (lock, name) in locks {
        let lock = match File::open(&lock) {
            Ok(lock) => lock,
            // No server has written it, or it was moved away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let problem = format!("{}: {error}; no file is changed", lock.display());
                return Err(io::Error::new(error.kind(), problem));
            }
        };
        if lock.try_lock().is_err() {
            let problem = format!(
                "{name}: a process writes it; end it first, or move full files away; no file is changed"
            );
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, problem));
        }
        held.push(lock);
    }
    Ok(held)
}

/// Returns the path of a file beside another one.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}

/// Writes a copy of a file of events with other receipts. Lines that a crash left unfinished are left
/// out.
fn rewrite(path: &Path, new_path: &Path, renamed: impl Fn(&Receipt) -> Receipt) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let input = File::open(path)?;
    let output = options.open(new_path)?;
    // The server that goes on with the file may be another user.
    output.set_permissions(input.metadata()?.permissions())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let of = input.metadata()?;
        fchown(&output, Some(of.uid()), Some(of.gid()))?;
    }
    let mut output = BufWriter::new(output);
    for (number, text) in (1..).zip(BufReader::new(input).split(b'\n')) {
        let text = text?;
        let text = text.trim_ascii();
        if !text.ends_with(b"}") {
            // Empty, or unfinished. An unfinished line may hold a receipt, and proves nothing.
            continue;
        }
        match Line::from_json(text) {
            Ok(mut line) => {
                if let Line::Event(event) = &mut line {
                    event.receipt = renamed(&event.receipt);
                }
                writeln!(output, "{}", line.to_json())?;
            }
            Err(error) => {
                let problem = format!("line {number}: {error}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
    }
    output.into_inner()?.sync_all()
}
