//! `report`: summarises files of records.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use human_check_compare::report::{
    ExperimentReport, Report, experiment_html, experiment_terminal, html, terminal,
};
use human_check_compare::{Input, MonthlyCost, Prices, Tally};

use crate::record_files::{ReadRecords, stop_note};

/// The settings of a report.
#[derive(Clone, Debug)]
pub(crate) struct ReportOptions {
    /// Files of records.
    pub(crate) files: Vec<PathBuf>,
    /// Whether to print one JSON object instead of tables.
    pub(crate) json: bool,
    /// The file for an HTML page, if there is to be one.
    pub(crate) html: Option<PathBuf>,
    /// The state file of an experiment. Default: the one beside the files.
    pub(crate) state: Option<PathBuf>,
    /// How long after a visit a label counts.
    pub(crate) label_window: Duration,
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
    let read = ReadRecords::from_files(&options.files, options.label_window, errors)?;
    let is_clean = read.input.repeated_files.is_empty() && read.input.unreadable == 0;
    let cost = |name: &String| {
        let (prices, volume) = prices.as_ref()?;
        Some(prices.cost(name, *volume))
    };
    let (page, text, json) = match (read.comparisons, read.events) {
        (_, 0) if read.experiment.plan().is_none() => comparison(read.tally, read.input, cost),
        (0, _) => {
            let statistics = read.experiment.statistics_of(read.input);
            let costs = statistics.arms.iter().filter_map(|arm| cost(&arm.arm));
            let report = ExperimentReport {
                costs: costs.collect(),
                stopped: stop_note(&options.files, options.state.as_deref(), &statistics.name)?,
                statistics,
            };
            let (page, text) = (experiment_html(&report), experiment_terminal(&report));
            (page, text, report.to_json())
        }
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the files hold comparisons and events of an experiment; give those of one kind",
            ));
        }
    };
    if let Some(path) = &options.html {
        std::fs::write(path, page).map_err(|error| {
            let name = path.display();
            io::Error::new(
                error.kind(),
                format!("{name}: {error}; choose another file"),
            )
        })?;
    }
    if options.json {
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{text}")?;
    }
    Ok(if is_clean { 0 } else { 3 })
}

/// Returns the report of comparisons as a page, as text and as JSON.
fn comparison(
    tally: Tally,
    input: Input,
    cost: impl Fn(&String) -> Option<MonthlyCost>,
) -> (String, String, String) {
    let statistics = tally.statistics_of(input);
    let providers = statistics.providers.iter();
    let costs = providers.filter_map(|provider| cost(&provider.provider));
    let report = Report {
        costs: costs.collect(),
        statistics,
    };
    (html(&report), terminal(&report), report.to_json())
}
