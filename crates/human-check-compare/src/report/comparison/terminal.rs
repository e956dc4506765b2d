use std::fmt::Write;

use super::content::{Report, differences, period, tables};

/// Returns the report as text for a terminal, up to 120 columns wide: the warnings, the tables, and
/// the distribution of each provider's scores.
pub fn terminal(report: &Report) -> String {
    let statistics = &report.statistics;
    let mut text = format!("{}\n", period(statistics));
    for warning in &statistics.warnings {
        // Writing to a string never fails.
        let _ = writeln!(text, "warning: {warning}");
    }
    for sentence in differences(statistics) {
        let _ = writeln!(text, "{sentence}");
    }
    for table in tables(report) {
        text.push_str(&table.text());
    }
    for provider in &statistics.providers {
        if let Some(scores) = &provider.scores {
            let name = &provider.provider;
            let bars = bars(&scores.bins);
            let _ = writeln!(
                text,
                "\nscores of {name}: 0 (machine) {bars} 1 (human), {}",
                scores.total()
            );
        }
    }
    text
}

/// Returns one character for each bin. The fullest bin has the highest one.
fn bars(bins: &[u64]) -> String {
    const HEIGHTS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let max = bins.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: &u64| {
        let eighths = (u128::from(*count) * 8).div_ceil(u128::from(max));
        HEIGHTS[usize::try_from(eighths).unwrap_or(8).min(8)]
    };
    bins.iter().map(height).collect()
}
