//! `label`: turns a list of what became of visitors into events of an experiment.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use human_check_compare::Line;
use human_check_core::{ExperimentEvent, FunnelStep, Receipt};

/// The exit code for lines that cannot be read.
const UNREADABLE: u8 = 3;

/// Appends an event for each line of the list, and returns the exit code.
///
/// # Errors
///
/// [`io::Error`] that names a file which cannot be read or written.
pub(crate) fn run(input: &Path, output: &Path, errors: &mut impl Write) -> io::Result<u8> {
    let named = |path: &Path| {
        let name = path.display().to_string();
        move |error: io::Error| {
            io::Error::new(error.kind(), format!("{name}: {error}; check the path"))
        }
    };
    let lines: Box<dyn BufRead> = match input.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(input).map_err(named(input))?)),
    };
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut events = options.open(output).map_err(named(output))?;
    let (mut written, mut bad) = (0_u64, 0_u64);
    let mut text = String::new();
    for (number, line) in (1_u64..).zip(lines.lines()) {
        let line = line.map_err(named(input))?;
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || (number == 1 && line.starts_with("receipt,")) {
            continue;
        }
        match event(line) {
            Ok(event) => {
                written += 1;
                text.push_str(&Line::from(event).to_json());
                text.push('\n');
            }
            Err(problem) => {
                bad += 1;
                writeln!(errors, "{}:{number}: {problem}", input.display())?;
            }
        }
    }
    events.write_all(text.as_bytes()).map_err(named(output))?;
    writeln!(
        errors,
        "{written} labels are written, {bad} lines could not be read"
    )?;
    Ok(if bad > 0 { UNREADABLE } else { 0 })
}

/// Returns the event of one line.
fn event(line: &str) -> Result<ExperimentEvent, &'static str> {
    let mut parts = line.split(',').map(str::trim);
    let (Some(receipt), Some(label), Some(at), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("has not three parts; write receipt,label,time");
    };
    // The text that the application stored may have the arm behind a dot.
    let receipt = receipt.split('.').next().unwrap_or_default();
    let receipt: Receipt = receipt
        .parse()
        .map_err(|_| "begins with no receipt; write the 32 hexadecimal digits that were stored")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if label.is_empty() || label.len() > 128 || !label.chars().all(is_word) {
        return Err("has no label; write a short word, such as chargeback");
    }
    let at = at
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|at| SystemTime::try_from(at).ok())
        .ok_or("ends with no time; write RFC 3339, such as 2026-12-01T00:00:00Z")?;
    Ok(ExperimentEvent {
        at,
        receipt,
        assignment: None,
        step: FunnelStep::Label(Arc::from(label)),
    })
}
