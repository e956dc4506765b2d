//! `experiment`: where an experiment stands, its stop, and the end of its receipts.

use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use human_check_compare::{Conclusion, ExperimentStatistics, Line, RecordReader, StopNote};
use human_check_core::Receipt;

use crate::args::ExperimentCommand;
use crate::record_files::ReadRecords;

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
            let note = state.as_deref().map(read_note).transpose()?.flatten();
            let note = note.filter(|note| note.experiment == statistics.name);
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
            forget(&files)?;
            writeln!(errors, "{} files hold new receipts", files.len())?;
            Ok(0)
        }
    }
}

fn read(files: &[PathBuf], errors: &mut impl Write) -> io::Result<ExperimentStatistics> {
    let read = ReadRecords::from_files(files, LABEL_WINDOW, errors)?;
    Ok(read.experiment.statistics_of(read.input))
}

/// Reads a state file.
fn read_note(path: &Path) -> io::Result<Option<StopNote>> {
    let name = path.display();
    StopNote::read(path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
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
        writeln!(out, "so far      {} {said}", comparison.arm)?;
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
    loop {
        let statistics = read(files, errors)?;
        let known = read_note(state)?.filter(|note| note.experiment == statistics.name);
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
fn forget(files: &[PathBuf]) -> io::Result<()> {
    let keys = [RandomState::new(), RandomState::new()];
    let renamed = |receipt: &Receipt| {
        let [high, low] = keys.each_ref().map(|key| key.hash_one(receipt.as_bytes()));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Receipt::from_bytes(bytes)
    };
    for path in files {
        let name = path.display();
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; nothing of it is changed"),
            )
        };
        let input = File::open(path).map_err(named)?;
        let mut new_path = path.clone().into_os_string();
        new_path.push(".new");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut output = BufWriter::new(options.open(&new_path).map_err(named)?);
        let mut lines = RecordReader::new(BufReader::new(input));
        while let Some((number, line)) = lines.read().map_err(named)? {
            let mut line = line.map_err(|error| {
                let problem = format!("line {number}: {error}");
                named(io::Error::new(io::ErrorKind::InvalidData, problem))
            })?;
            if let Line::Event(event) = &mut line {
                event.receipt = renamed(&event.receipt);
            }
            writeln!(output, "{}", line.to_json()).map_err(named)?;
        }
        output.flush().map_err(named)?;
        std::fs::rename(&new_path, path).map_err(named)?;
    }
    Ok(())
}
