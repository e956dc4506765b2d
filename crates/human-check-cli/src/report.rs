//! `report`: summarises files of records.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;

use human_check_compare::report::{Report, html, terminal};
use human_check_compare::{Prices, RecordReader, Tally};

/// The settings of a report.
#[derive(Clone, Debug)]
pub(crate) struct ReportOptions {
    /// Files of records.
    pub(crate) files: Vec<PathBuf>,
    /// Whether to print one JSON object instead of tables.
    pub(crate) json: bool,
    /// The file for an HTML page, if there is to be one.
    pub(crate) html: Option<PathBuf>,
    /// The file with the prices of the providers, and the number of checks a month.
    pub(crate) prices: Option<(PathBuf, u64)>,
}

/// Prints the report to `out`, and lines that are not records to `errors`.
///
/// The exit code is 0, or 3 when there were such lines.
///
/// # Errors
///
/// [`io::Error`] when a file cannot be read or written, or the file of prices is wrong.
pub(crate) fn run(
    options: &ReportOptions,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<u8> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("{error}"));
    // Before the records, so that an error in the prices shows at once.
    let prices = match &options.prices {
        None => None,
        Some((path, volume)) => Some((Prices::from_file(path).map_err(invalid)?, *volume)),
    };
    let mut tally = Tally::new();
    let mut bad = 0_u64;
    for path in &options.files {
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
    if let Some(path) = &options.html {
        std::fs::write(path, html(&report)).map_err(|error| {
            let name = path.display();
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; choose another file"),
            )
        })?;
    }
    if options.json {
        writeln!(out, "{}", report.to_json())?;
    } else {
        write!(out, "{}", terminal(&report))?;
    }
    if bad > 0 {
        writeln!(errors, "{bad} lines are not records and are left out")?;
        return Ok(3);
    }
    Ok(0)
}
