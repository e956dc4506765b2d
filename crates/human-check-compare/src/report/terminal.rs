use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

use super::{Report, differences, period, tables};

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
    for tabular in tables(report) {
        let mut table = Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(120)
            .set_header(tabular.header)
            .add_rows(tabular.rows);
        let _ = writeln!(text, "\n{}\n{table}", tabular.title);
        if !tabular.note.is_empty() {
            let _ = writeln!(text, "{}", tabular.note);
        }
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
