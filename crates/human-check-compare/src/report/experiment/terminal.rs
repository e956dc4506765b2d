use std::fmt::Write;

use super::content::{ExperimentReport, LIMITS, cards, findings, subtitle, tables, title};

/// Returns the report as text for a terminal, up to 120 columns wide: the finding first.
pub fn experiment_terminal(report: &ExperimentReport) -> String {
    let statistics = &report.statistics;
    let mut text = format!("{}\n{}\n", title(statistics), subtitle(statistics));
    for finding in findings(report) {
        // Writing to a string never fails.
        let _ = writeln!(text, "\n{}", finding.headline);
        for sentence in finding.sentences {
            let _ = writeln!(text, "  {sentence}");
        }
    }
    text.push('\n');
    for card in cards(statistics) {
        let _ = writeln!(text, "{}: {}", card.fact, card.about);
    }
    for warning in &statistics.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for table in tables(report) {
        text.push_str(&table.text());
    }
    text.push_str("\nWhat this does not say:\n");
    for limit in LIMITS {
        let _ = writeln!(text, "- {limit}");
    }
    text
}
