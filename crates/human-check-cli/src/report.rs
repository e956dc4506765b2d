//! `report`: summarises files of records.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use human_check_compare::report::{Report, html, terminal};
use human_check_compare::{InputWatch, Prices, RecordReader, Tally};

use crate::record_files::RecordFiles;

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
/// The exit code is 0, or 3 when there were such lines, or a file was given twice.
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
    let mut watch = InputWatch::new(SystemTime::now());
    let files = RecordFiles::open(&options.files)?;
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
        let mut lines = RecordReader::new(file.reader);
        while let Some((number, line)) = lines.read().map_err(named)? {
            watch.see(number, &line);
            match line {
                Ok(line) => tally.add_line(&line),
                Err(error) => writeln!(errors, "{name}:{number}: {error}")?,
            }
        }
    }
    let input = watch.finish();
    let is_clean = input.repeated_files.is_empty() && input.unreadable == 0;
    let statistics = tally.statistics_of(input);
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
    Ok(if is_clean { 0 } else { 3 })
}
