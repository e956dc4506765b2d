use std::fmt::Write;

use super::super::escaped::escaped;
use super::super::page::page_of;
use super::super::plot::{ForestRow, SequenceDay, forest, sequence};
use super::content::{ExperimentReport, LIMITS, Tone, cards, findings, subtitle, tables, title};
use crate::{ArmComparison, ExperimentStatistics};

/// Returns the report as one HTML page: the finding first, then what limits it, then the numbers.
///
/// The page loads nothing, has no script, follows the light or dark mode of the browser, and can be
/// printed.
pub fn experiment_html(report: &ExperimentReport) -> String {
    let statistics = &report.statistics;
    let title = title(statistics);
    let mut page = format!(
        "<h1>{}</h1><p class=\"soft\">{}</p>",
        escaped(&title),
        escaped(&subtitle(statistics))
    );
    for finding in findings(report) {
        let tone = match finding.tone {
            Tone::Bad => " bad",
            Tone::Good => " good",
            Tone::Open => "",
        };
        // Writing to a string never fails.
        let _ = write!(
            page,
            "<section class=\"finding{tone}\"><h2>{}</h2>",
            escaped(&finding.headline)
        );
        for sentence in &finding.sentences {
            let _ = write!(page, "<p>{}</p>", escaped(sentence));
        }
        page.push_str("</section>");
    }
    page.push_str("<div class=\"cards\">");
    for card in cards(statistics) {
        let _ = write!(
            page,
            "<div class=\"card{}\"><strong>{}</strong><small>{}</small></div>",
            if card.is_bad { " bad" } else { "" },
            escaped(&card.fact),
            escaped(&card.about)
        );
    }
    page.push_str("</div>");
    if !statistics.warnings.is_empty() {
        page.push_str(
            "<section class=\"warnings\" aria-label=\"Warnings\"><h2>Read this first</h2><ul>",
        );
        for warning in &statistics.warnings {
            let _ = write!(page, "<li>{}</li>", escaped(&warning.to_string()));
        }
        page.push_str("</ul></section>");
    }
    for (nth, table) in tables(report).iter().enumerate() {
        page.push_str(&table.html());
        if nth == 0 {
            page.push_str(&plots(statistics));
        }
    }
    page.push_str("<h2>What this does not say</h2><ul>");
    for limit in LIMITS {
        let _ = write!(page, "<li>{limit}</li>");
    }
    page.push_str("</ul>");
    page_of(&title, &page)
}

/// Returns the plots of each arm.
fn plots(statistics: &ExperimentStatistics) -> String {
    let comparisons = statistics.comparisons.iter();
    comparisons
        .map(|comparison| differences(comparison) + &days(statistics, comparison))
        .collect()
}

fn differences(comparison: &ArmComparison) -> String {
    let rows = comparison.steps.iter().filter_map(|step| {
        let interval = step.any_time?;
        Some(ForestRow {
            label: step.step.to_owned(),
            middle: step.difference? * 100.0,
            low: interval.low * 100.0,
            high: interval.high * 100.0,
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    let (arm, against) = (&comparison.arm, &comparison.against);
    forest(
        &format!("{arm} minus {against}, in percentage points"),
        &rows,
        "Of all visitors who were shown a challenge. Green and red: 0 is outside.",
    )
}

fn days(statistics: &ExperimentStatistics, comparison: &ArmComparison) -> String {
    let days = comparison.by_day.iter().filter_map(|day| {
        let interval = day.any_time?;
        Some(SequenceDay {
            day: day.day.clone(),
            middle: day.difference? * 100.0,
            low: interval.low * 100.0,
            high: interval.high * 100.0,
        })
    });
    let days: Vec<_> = days.collect();
    if days.len() < 2 {
        return String::new();
    }
    let dashed = match statistics.margin > 0.0 {
        true => " Dashed: the margin.",
        false => "",
    };
    sequence(
        &format!(
            "Completed, day by day: {} minus {}",
            comparison.arm, comparison.against
        ),
        &days,
        statistics.margin * 100.0,
        &format!(
            "The band holds the truth on all days together with 95 %: look as often as you like.{dashed}"
        ),
    )
}
