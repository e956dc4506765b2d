//! `doctor`: examines what a configuration depends on, from this machine.

use std::io::{self, Write};
use std::path::Path;

use human_check_config::{Deployment, Diagnosis, Finding, Level};
use human_check_core::ConfigError;
use serde_json::json;

/// The exit code when something works and may fail.
const WARNINGS: u8 = 1;

/// The exit code when something does not work.
const WRONG: u8 = 3;

/// Examines the configuration in `file`, prints the findings, and returns the exit code.
///
/// # Errors
///
/// [`io::Error`] of the output.
pub(crate) async fn run(out: &mut impl Write, file: &Path, as_json: bool) -> io::Result<u8> {
    let diagnosis = match Deployment::builder().with_dry_run().load(file) {
        Ok(deployment) => Ok(deployment.diagnose().await),
        Err(error) => Err(error),
    };
    match diagnosis {
        Ok(diagnosis) if as_json => {
            let level = diagnosis.level();
            writeln!(
                out,
                "{}",
                json!({ "level": level, "findings": diagnosis.findings })
            )?;
            Ok(exit_code(level))
        }
        Ok(diagnosis) => {
            print(out, &diagnosis)?;
            Ok(exit_code(diagnosis.level()))
        }
        Err(error) => {
            unusable(out, &error, as_json)?;
            Ok(WRONG)
        }
    }
}

/// Prints why a configuration cannot be used.
fn unusable(out: &mut impl Write, error: &ConfigError, as_json: bool) -> io::Result<()> {
    if as_json {
        let finding = json!({
            "part": "configuration",
            "check": "settings",
            "level": Level::Wrong,
            "text": format!("{} {}", error.field(), error.problem()),
            "remedy": error.remedy(),
        });
        writeln!(
            out,
            "{}",
            json!({ "level": Level::Wrong, "findings": [finding] })
        )?;
    }
    writeln!(io::stderr(), "human-check: {error}")
}

fn print(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let findings = &diagnosis.findings;
    let width = findings.iter().map(|finding| finding.part.len()).max();
    let width = width.unwrap_or_default();
    for finding in findings {
        let Finding {
            part,
            check,
            level,
            text,
            remedy,
            ..
        } = finding;
        let level = match level {
            Level::Fine => "fine",
            Level::Unknown => "unknown",
            Level::Warning => "WARNING",
            _ => "WRONG",
        };
        writeln!(out, "{level:<9}{part:<width$}  {check:<10} {text}")?;
        if !remedy.is_empty() {
            writeln!(out, "{:<9}{:<width$}  {:<10} to do: {remedy}", "", "", "")?;
        }
    }
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let (wrong, warnings) = (count(Level::Wrong), count(Level::Warning));
    let unknown = count(Level::Unknown);
    writeln!(
        out,
        "{wrong} wrong, {warnings} with a warning, {unknown} that cannot be told from here"
    )
}

fn exit_code(level: Level) -> u8 {
    match level {
        Level::Fine | Level::Unknown => 0,
        Level::Warning => WARNINGS,
        _ => WRONG,
    }
}
