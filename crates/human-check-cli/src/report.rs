//! Reads records and reports what they say.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;

use human_check_compare::report::{Report, html, terminal};
use human_check_compare::{Prices, RecordReader, Tally};

/// What to report on, and how.
#[derive(Clone, Debug)]
pub(crate) struct ReportOptions {
    /// Files of records.
    pub(crate) files: Vec<PathBuf>,
    /// One JSON object instead of tables.
    pub(crate) json: bool,
    /// Where to write a page, too.
    pub(crate) html: Option<PathBuf>,
    /// What the providers charge, and for how many checks a month.
    pub(crate) prices: Option<(PathBuf, u64)>,
}

/// Capabilities to `out`, and tells `errors` of lines that are no records.
///
/// The exit code is 0, or 3 when there were such lines.
///
/// # Errors
///
/// When a file cannot be read or written, or the prices are wrong.
pub(crate) fn run(
    question: &ReportOptions,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<u8> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"));
    // Before the files, which may be long.
    let prices = match &question.prices {
        None => None,
        Some((path, volume)) => Some((Prices::from_file(path).map_err(invalid)?, *volume)),
    };
    let mut tally = Tally::new();
    let mut bad = 0_u64;
    for path in &question.files {
        let name = path.display();
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{name}: {error}; check the path"))
        };
        let mut lines = RecordReader::new(BufReader::new(File::open(path).map_err(named)?));
        while let Some((number, line)) = lines.read().map_err(named)? {
            match line {
                Ok(record) => tally.add(&record),
                Err(error) => {
                    bad += 1;
                    writeln!(errors, "{name}:{number}: {error}")?;
                }
            }
        }
    }
    let statistics = tally.statistics();
    let costs = prices.map_or_else(Vec::new, |(prices, volume)| {
        let providers = statistics.providers.iter();
        providers
            .map(|p| prices.cost(&p.provider, volume))
            .collect()
    });
    let report = Report { statistics, costs };
    if let Some(path) = &question.html {
        std::fs::write(path, html(&report)).map_err(|error| {
            let name = path.display();
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; choose another file"),
            )
        })?;
    }
    if question.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{}", terminal(&report))?;
    }
    if bad > 0 {
        writeln!(errors, "{bad} lines are no records and are left out")?;
        return Ok(3);
    }
    Ok(0)
}
